//! A chart of policies as SVG: added latency to the right, wasted memory upwards, both logarithmic.

use crate::report::Row;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 70.0;
const BOTTOM: f64 = 50.0;
const TOP: f64 = 20.0;
const RIGHT: f64 = 200.0;

/// A logarithmic axis over whole decades around the values.
struct Axis {
    low: f64,
    high: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64>) -> Axis {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values {
            let log = value.max(1e-6).log10();
            (low, high) = (low.min(log.floor()), high.max(log.ceil()));
        }
        if low.is_finite() && high > low { Axis { low, high } } else { Axis { low: 0.0, high: 1.0 } }
    }

    fn share(&self, value: f64) -> f64 {
        (value.max(1e-6).log10() - self.low) / (self.high - self.low)
    }

    fn decades(&self) -> impl Iterator<Item = f64> {
        (self.low as i32..=self.high as i32).map(|decade| 10f64.powi(decade))
    }
}

pub(crate) fn svg(rows: &[Row]) -> String {
    let across = Axis::over(rows.iter().map(|row| row.added_ms));
    let up = Axis::over(rows.iter().map(|row| row.wasted_percent));
    let x = |value: f64| LEFT + across.share(value) * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - up.share(value) * (HEIGHT - BOTTOM - TOP);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    for decade in across.decades() {
        let (at, foot) = (x(decade), HEIGHT - BOTTOM);
        text.push_str(&format!(
            "<line x1=\"{at:.1}\" y1=\"{TOP}\" x2=\"{at:.1}\" y2=\"{foot}\" stroke=\"#ddd\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{decade}</text>\n",
            foot + 16.0
        ));
    }
    for decade in up.decades() {
        let at = y(decade);
        text.push_str(&format!(
            "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{decade} %</text>\n",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0
        ));
    }
    let fixed: Vec<String> = rows
        .iter()
        .filter(|row| row.name.starts_with("fixed"))
        .map(|row| format!("{:.1},{:.1}", x(row.added_ms), y(row.wasted_percent)))
        .collect();
    text.push_str(&format!("<polyline points=\"{}\" fill=\"none\" stroke=\"#999\"/>\n", fixed.join(" ")));
    for row in rows {
        let colour = match row.name.as_str() {
            name if name.starts_with("fixed") => "#777",
            name if name.starts_with("hybrid") => "#c60",
            _ => "#06c",
        };
        let (at, level) = (x(row.added_ms), y(row.wasted_percent));
        text.push_str(&format!(
            "<circle cx=\"{at:.1}\" cy=\"{level:.1}\" r=\"4\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>\n",
            at + 8.0,
            level + 4.0,
            row.name.replace('&', "&amp;").replace('<', "&lt;")
        ));
    }
    text.push_str(&format!(
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">latency added to an invocation, mean, ms</text>\n\
         <text transform=\"translate(14 {:.1}) rotate(-90)\" text-anchor=\"middle\">wasted memory, fixed 10 min = 100 %</text>\n</svg>\n",
        LEFT + (WIDTH - LEFT - RIGHT) / 2.0,
        HEIGHT - 12.0,
        TOP + (HEIGHT - BOTTOM - TOP) / 2.0
    ));
    text
}
