//! `cron(minutes hours day-of-month month day-of-week year)`: fields parsed into sets, and the next time that is in all of them.

use jiff::civil::{Date, DateTime, Time, Weekday};

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const YEAR_MIN: i16 = 1970;
const YEAR_MAX: i16 = 2199;

/// Numbers of a field, as bits from its least one; years do not fit and are a list of ranges with steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    months: u64,
    days: Days,
    years: Vec<Run>,
}

/// `from`, and every `step`-th after it up to `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    from: i16,
    to: i16,
    step: i16,
}

/// One of the two fields of days decides; the other one is `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Days {
    OfMonth { set: u64, is_last: bool, last_weekday: bool, nearest: Vec<i8> },
    OfWeek { set: u64, last: Vec<i8>, nth: Vec<(i8, i8)> },
}

/// What numbers a field may hold, and their names.
struct Field {
    min: i16,
    max: i16,
    names: &'static [&'static str],
}

const MINUTE: Field = Field { min: 0, max: 59, names: &[] };
const HOUR: Field = Field { min: 0, max: 23, names: &[] };
const DAY: Field = Field { min: 1, max: 31, names: &[] };
const MONTH: Field = Field { min: 1, max: 12, names: &MONTHS };
const WEEKDAY: Field = Field { min: 1, max: 7, names: &DAYS };
const YEAR: Field = Field { min: YEAR_MIN, max: YEAR_MAX, names: &[] };

impl Field {
    fn number(&self, text: &str) -> Option<i16> {
        let upper = text.to_ascii_uppercase();
        if let Some(at) = self.names.iter().position(|name| *name == upper) {
            return i16::try_from(at).ok().map(|at| at + self.min);
        }
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        text.parse().ok().filter(|number| (self.min..=self.max).contains(number))
    }

    /// `*`, `3`, `3-7`, and each with `/step`. A range may run over the end where there are names: `FRI-MON`.
    fn runs(&self, text: &str) -> Option<Vec<Run>> {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => {
                let is_number = !step.is_empty() && step.bytes().all(|b| b.is_ascii_digit());
                (range, Some(step.parse::<i16>().ok().filter(|step| is_number && *step > 0)?))
            }
            None => (text, None),
        };
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (self.number(from)?, self.number(to)?),
            None if range == "*" => (self.min, self.max),
            None => {
                let from = self.number(range)?;
                (from, if step.is_some() { self.max } else { from })
            }
        };
        let step = step.unwrap_or(1);
        if from <= to {
            return Some(vec![Run { from, to, step }]);
        }
        if self.names.is_empty() || step != 1 {
            return None;
        }
        Some(vec![Run { from, to: self.max, step }, Run { from: self.min, to, step }])
    }

    fn list(&self, text: &str) -> Option<Vec<Run>> {
        let runs: Option<Vec<Vec<Run>>> = text.split(',').map(|part| self.runs(part)).collect();
        Some(runs?.concat())
    }

    fn set(&self, text: &str) -> Option<u64> {
        Some(self.list(text)?.into_iter().fold(0, |set, run| set | bits(run)))
    }
}

fn bits(run: Run) -> u64 {
    let numbers = (run.from..=run.to).step_by(usize::try_from(run.step).unwrap_or(1));
    numbers.fold(0, |set, number| set | 1 << number)
}

fn has(set: u64, number: i8) -> bool {
    set >> number & 1 == 1
}

impl Cron {
    /// The six fields, parted by blanks.
    pub fn parse(text: &str) -> Option<Cron> {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minutes, hours, of_month, months, of_week, years] = fields[..] else { return None };
        let days = match (of_month, of_week) {
            ("?", "?") => return None,
            (of_month, "?") => parse_of_month(of_month)?,
            ("?", of_week) => parse_of_week(of_week)?,
            _ => return None,
        };
        Some(Cron {
            minutes: MINUTE.set(minutes)?,
            hours: HOUR.set(hours)?,
            months: MONTH.set(months)?,
            days,
            years: YEAR.list(years)?,
        })
    }

    /// The first time after `after`, in whole minutes.
    pub fn next(&self, after: DateTime) -> Option<DateTime> {
        let from = Date::new(after.year(), after.month(), after.day()).ok()?;
        let of_day = (after.hour(), after.minute());
        if self.has_date(from)
            && let Some(time) = self.next_time(of_day)
        {
            return Some(from.to_datetime(time));
        }
        let date = self.next_date(from)?;
        Some(date.to_datetime(self.first_time()?))
    }

    fn first_time(&self) -> Option<Time> {
        let (hour, minute) = (self.hours.trailing_zeros(), self.minutes.trailing_zeros());
        Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0).ok()
    }

    /// Later on the same day.
    fn next_time(&self, (hour, minute): (i8, i8)) -> Option<Time> {
        let first = i8::try_from(self.minutes.trailing_zeros()).ok()?;
        let in_hour = (minute + 1..60).find(|minute| has(self.minutes, *minute)).filter(|_| has(self.hours, hour));
        let (hour, minute) = match in_hour {
            Some(minute) => (hour, minute),
            None => ((hour + 1..24).find(|hour| has(self.hours, *hour))?, first),
        };
        Time::new(hour, minute, 0, 0).ok()
    }

    fn has_year(&self, year: i16) -> bool {
        self.years.iter().any(|run| (run.from..=run.to).contains(&year) && (year - run.from) % run.step == 0)
    }

    fn has_date(&self, date: Date) -> bool {
        self.has_year(date.year()) && has(self.months, date.month()) && self.days.has(date)
    }

    /// The first date after `after`.
    fn next_date(&self, after: Date) -> Option<Date> {
        let mut year = after.year().max(YEAR_MIN);
        let mut month = after.month();
        let mut day = after.day() + 1;
        if after.year() < YEAR_MIN {
            (month, day) = (1, 1);
        }
        while year <= YEAR_MAX {
            if self.has_year(year) {
                for month in month..=12 {
                    let first = Date::new(year, month, 1).ok()?;
                    let from = std::mem::replace(&mut day, 1);
                    if !has(self.months, month) {
                        continue;
                    }
                    for day in from..=first.days_in_month() {
                        let date = Date::new(year, month, day).ok()?;
                        if self.days.has(date) {
                            return Some(date);
                        }
                    }
                }
            }
            year += 1;
            (month, day) = (1, 1);
        }
        None
    }
}

impl Days {
    fn has(&self, date: Date) -> bool {
        let last = date.days_in_month();
        match self {
            Days::OfMonth { set, is_last, last_weekday, nearest } => {
                has(*set, date.day())
                    || *is_last && date.day() == last
                    || *last_weekday && date.day() == nearest_weekday(date, last)
                    // A month without the day has no weekday nearest to it.
                    || nearest.iter().any(|day| *day <= last && nearest_weekday(date, *day) == date.day())
            }
            Days::OfWeek { set, last: lasts, nth } => {
                let weekday = number_of(date.weekday());
                has(*set, weekday)
                    || lasts.contains(&weekday) && date.day() + 7 > last
                    || nth.contains(&(weekday, (date.day() - 1) / 7 + 1))
            }
        }
    }
}

/// Sunday is 1.
fn number_of(weekday: Weekday) -> i8 {
    weekday.to_sunday_one_offset()
}

/// The day from Monday to Friday that is nearest to one of a month, and in the month.
fn nearest_weekday(of: Date, day: i8) -> i8 {
    let last = of.days_in_month();
    let Ok(date) = Date::new(of.year(), of.month(), day) else { return 0 };
    match date.weekday() {
        Weekday::Saturday if day == 1 => 3,
        Weekday::Saturday => day - 1,
        Weekday::Sunday if day == last => day - 2,
        Weekday::Sunday => day + 1,
        _ => day,
    }
}

fn parse_of_month(text: &str) -> Option<Days> {
    let (mut set, mut is_last, mut last_weekday, mut nearest) = (0, false, false, Vec::new());
    for part in text.split(',') {
        match part.to_ascii_uppercase().as_str() {
            "L" => is_last = true,
            "LW" => last_weekday = true,
            part => match part.strip_suffix('W') {
                Some(day) => nearest.push(i8::try_from(DAY.number(day)?).ok()?),
                None => set |= DAY.set(part)?,
            },
        }
    }
    Some(Days::OfMonth { set, is_last, last_weekday, nearest })
}

fn parse_of_week(text: &str) -> Option<Days> {
    let (mut set, mut last, mut nth) = (0, Vec::new(), Vec::new());
    for part in text.split(',') {
        let part = part.to_ascii_uppercase();
        let weekday = |text: &str| i8::try_from(WEEKDAY.number(text)?).ok();
        if part == "L" {
            // By itself it is the last day of the week.
            set |= 1 << WEEKDAY.max;
        } else if let Some(day) = part.strip_suffix('L') {
            last.push(weekday(day)?);
        } else if let Some((day, n)) = part.split_once('#') {
            let n: i8 = n.parse().ok().filter(|n| (1..=5).contains(n))?;
            nth.push((weekday(day)?, n));
        } else {
            set |= WEEKDAY.set(&part)?;
        }
    }
    // There is one "nth" or several plain days, but AWS takes no list with `#` in it.
    let is_single = nth.is_empty() || !text.contains(',');
    is_single.then_some(Days::OfWeek { set, last, nth })
}
