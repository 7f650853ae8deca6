//! How often a function has caused itself: counted in the trace header, which functions' SDKs pass on to the services that
//! they call (<https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html>). A function that does not pass it
//! on is not stopped.

/// So often a function may cause itself.
const LOOPS_MAX: u32 = 16;
/// Functions counted in one header; the oldest go.
const FUNCTIONS_MAX: usize = 8;
const FIELD: &str = "Lineage=";

/// The header for an invocation of the function; `None`: it has caused itself too often.
pub fn next(trace: &str, function_arn: &str, may_loop: bool) -> Option<String> {
    let own = name(function_arn);
    let mut counts: Vec<(String, u32)> = Vec::new();
    let mut fields: Vec<&str> = Vec::new();
    // Some SDKs encode what is not usual in a header.
    let trace = trace.replace("%7C", "|");
    for field in trace.split(';').filter(|field| !field.is_empty()) {
        match field.strip_prefix(FIELD) {
            Some(lineage) => counts.extend(lineage.split('|').filter_map(|entry| {
                let (name, count) = entry.rsplit_once(':')?;
                Some((name.to_owned(), count.parse().ok()?))
            })),
            None => fields.push(field),
        }
    }
    match counts.iter_mut().find(|(name, _)| *name == own) {
        Some((_, count)) if *count >= LOOPS_MAX && !may_loop => return None,
        Some((_, count)) => *count = count.saturating_add(1),
        None => counts.push((own, 1)),
    }
    let from = counts.len().saturating_sub(FUNCTIONS_MAX);
    let lineage: Vec<String> = counts[from..].iter().map(|(name, count)| format!("{name}:{count}")).collect();
    let lineage = format!("{FIELD}{}", lineage.join("|"));
    fields.push(&lineage);
    Some(fields.join(";"))
}

/// A function in eight digits (FNV-1a).
fn name(arn: &str) -> String {
    let hash = arn.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{hash:08x}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn loops_are_counted_and_stopped() {
        let mut trace = "Root=1-2-3;Parent=4;Sampled=0".to_owned();
        for count in 1..=LOOPS_MAX {
            trace = next(&trace, "arn:f", false).unwrap();
            assert!(trace.starts_with("Root=1-2-3;Parent=4;Sampled=0;Lineage="), "{trace}");
            assert!(trace.ends_with(&format!(":{count}")), "{trace}");
        }
        assert_eq!(next(&trace, "arn:f", false), None);
        assert!(next(&trace, "arn:f", true).is_some());
        assert!(next(&trace, "arn:g", false).unwrap().contains('|'), "another function is only counted");
    }

    #[test]
    fn what_is_broken_is_left_out() {
        let two = next("Lineage=11111111:2%7C22222222:3", "arn:f", false).unwrap();
        assert!(two.starts_with("Lineage=11111111:2|22222222:3|"), "{two}");
        for broken in ["Lineage=", "Lineage=x", "Lineage=a:b|c", ";;", ""] {
            assert!(next(broken, "arn:f", false).unwrap().contains(":1"), "{broken}");
        }
    }
}
