//! Traces in the format of the Azure Functions dataset of 2019: per day three kinds of CSV files, with invocations by minute,
//! percentiles of durations, and percentiles of memory by application
//! (<https://github.com/Azure/AzurePublicDataset/blob/master/AzureFunctionsDataset2019.md>). Columns are found by their
//! names. Functions without a duration or memory get the dataset's usual ones. Also a made-up trace with the same features.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::Dice;

/// Days of one trace.
pub const DAYS_MAX: usize = 14;
pub const MINUTES_A_DAY: usize = 1440;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    pub functions: Vec<Function>,
    pub minutes: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    pub name: String,
    /// Invocations, by minute; only minutes that have some.
    pub invocations: Vec<(u32, u32)>,
    /// Milliseconds at the percentiles of [`PERCENTILES`].
    pub durations_ms: [f64; 7],
    pub memory_mb: f64,
}

/// As the dataset gives them.
pub const PERCENTILES: [f64; 7] = [0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0];

const DURATIONS_MS: [f64; 7] = [1.0, 3.0, 60.0, 300.0, 1_000.0, 6_000.0, 10_000.0];
const MEMORY_MB: f64 = 130.0;

#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    #[error("reading `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("`{folder}` has no file named `invocations_per_function_md…csv`")]
    NoInvocations { folder: PathBuf },
    #[error("`{path}`, line {line}: {what}")]
    Malformed { path: PathBuf, line: usize, what: String },
}

impl Trace {
    /// Reads the files of a folder; days in the order of their names. At most `functions_max` functions, evenly chosen.
    ///
    /// # Errors
    /// When there are no invocations, or a file cannot be read as what its name says.
    pub fn read(folder: &Path, functions_max: usize) -> Result<Trace, TraceError> {
        let files = |prefix: &str| -> Result<Vec<PathBuf>, TraceError> {
            let entries =
                std::fs::read_dir(folder).map_err(|source| TraceError::Read { path: folder.to_owned(), source })?;
            let named = |name: &std::ffi::OsStr| {
                name.to_str().is_some_and(|name| name.starts_with(prefix) && name.ends_with(".csv"))
            };
            let mut found: Vec<PathBuf> =
                entries.flatten().map(|e| e.path()).filter(|path| path.file_name().is_some_and(named)).collect();
            found.sort();
            found.truncate(DAYS_MAX);
            Ok(found)
        };
        let days = files("invocations_per_function_md")?;
        if days.is_empty() {
            return Err(TraceError::NoInvocations { folder: folder.to_owned() });
        }
        let mut functions: BTreeMap<String, (String, Vec<(u32, u32)>)> = BTreeMap::new();
        for (day, path) in days.iter().enumerate() {
            read_invocations(path, day, &mut functions)?;
        }
        let mut durations = HashMap::new();
        for path in files("function_durations_percentiles")? {
            read_durations(&path, &mut durations)?;
        }
        let mut memory = HashMap::new();
        for path in files("app_memory_percentiles")? {
            read_memory(&path, &mut memory)?;
        }
        let step = functions.len().div_ceil(functions_max.max(1)).max(1);
        let functions = functions
            .into_iter()
            .step_by(step)
            .map(|(name, (app, invocations))| Function {
                durations_ms: durations.get(&name).copied().unwrap_or(DURATIONS_MS),
                memory_mb: memory.get(&app).copied().unwrap_or(MEMORY_MB),
                name,
                invocations,
            })
            .collect();
        Ok(Trace { functions, minutes: days.len() * MINUTES_A_DAY })
    }

    /// A made-up trace: popularity, regularity, durations and memory spread as the dataset's authors describe them. Most
    /// functions run less than once an hour, a few nearly always; a third runs by a timer.
    pub fn sample(functions: usize, days: usize, seed: u64) -> Trace {
        let minutes = days.clamp(1, DAYS_MAX) * MINUTES_A_DAY;
        let mut dice = Dice::new(seed);
        let functions = (0..functions).map(|index| made_up(index, minutes, &mut dice)).collect();
        Trace { functions, minutes }
    }

    pub fn invocations(&self) -> u64 {
        self.functions.iter().flat_map(|f| &f.invocations).map(|(_, count)| u64::from(*count)).sum()
    }
}

fn made_up(index: usize, minutes: usize, dice: &mut Dice) -> Function {
    // Between once in four days and ten times a minute.
    let per_minute = 10f64.powf(-3.8 + 4.8 * dice.share().powf(1.6));
    let is_timer = dice.share() < 0.33;
    let is_bursty = !is_timer && dice.share() < 0.4;
    let mut invocations = Vec::new();
    if is_timer {
        let periods = [1, 2, 5, 10, 15, 30, 60, 120, 360, 720, 1440];
        let period = periods[(dice.share() * periods.len() as f64) as usize];
        let first = (dice.share() * f64::from(period)) as u32;
        invocations.extend((first..minutes as u32).step_by(period as usize).map(|minute| (minute, 1)));
    } else {
        let mut burst_until = 0;
        for minute in 0..minutes as u32 {
            let hour = f64::from(minute % MINUTES_A_DAY as u32) / 60.0;
            let day = 1.0 + 0.8 * ((hour - 9.0) / 24.0 * std::f64::consts::TAU).sin();
            let mut rate = per_minute * day;
            if is_bursty {
                if dice.share() < 0.002 {
                    burst_until = minute + 1 + (dice.share() * 20.0) as u32;
                }
                rate *= if minute < burst_until { 20.0 } else { 0.2 };
            }
            let count = poisson(rate, dice);
            if count > 0 {
                invocations.push((minute, count));
            }
        }
    }
    // Log-normal, roughly: half of the functions take less than a second.
    let normal = |dice: &mut Dice| (0..12).map(|_| dice.share()).sum::<f64>() - 6.0;
    let median = 10f64.powf(2.3 + 0.8 * normal(dice)).clamp(1.0, 60_000.0);
    let durations_ms = [0.2, 0.4, 0.7, 1.0, 1.5, 4.0, 8.0].map(|factor| median * factor);
    let memory_mb = (130.0 * 10f64.powf(0.25 * normal(dice))).clamp(30.0, 1_500.0);
    Function { name: format!("f{index}"), invocations, durations_ms, memory_mb }
}

fn poisson(rate: f64, dice: &mut Dice) -> u32 {
    const COUNT_MAX: u32 = 10_000;
    let limit = (-rate.min(500.0)).exp();
    let (mut count, mut product) = (0, dice.share());
    while product > limit && count < COUNT_MAX {
        count += 1;
        product *= dice.share();
    }
    count
}

/// Calls `take` with each line's fields by the column's name.
fn lines(
    path: &Path,
    mut take: impl FnMut(&HashMap<&str, usize>, &[&str]) -> Result<(), String>,
) -> Result<(), TraceError> {
    let text = std::fs::read_to_string(path).map_err(|source| TraceError::Read { path: path.to_owned(), source })?;
    let mut rows = text.lines().enumerate();
    let Some((_, head)) = rows.next() else { return Ok(()) };
    let columns: HashMap<&str, usize> = head.trim().split(',').enumerate().map(|(index, name)| (name, index)).collect();
    for (index, row) in rows {
        let fields: Vec<&str> = row.trim().split(',').collect();
        if fields == [""] {
            continue;
        }
        take(&columns, &fields).map_err(|what| TraceError::Malformed {
            path: path.to_owned(),
            line: index + 1,
            what,
        })?;
    }
    Ok(())
}

fn field<'a>(columns: &HashMap<&str, usize>, fields: &[&'a str], name: &str) -> Result<&'a str, String> {
    let at = columns.get(name).ok_or_else(|| format!("no column `{name}`"))?;
    fields.get(*at).copied().ok_or_else(|| format!("no field `{name}`"))
}

fn number(columns: &HashMap<&str, usize>, fields: &[&str], name: &str) -> Result<f64, String> {
    let text = field(columns, fields, name)?;
    let number = text.parse::<f64>().map_err(|_| format!("`{name}` is `{text}`"))?;
    if number.is_finite() && number >= 0.0 { Ok(number) } else { Err(format!("`{name}` is `{text}`")) }
}

fn names(columns: &HashMap<&str, usize>, fields: &[&str]) -> Result<(String, String), String> {
    let [owner, app] = [field(columns, fields, "HashOwner")?, field(columns, fields, "HashApp")?];
    let app = format!("{owner}/{app}");
    let function = format!("{app}/{}", field(columns, fields, "HashFunction")?);
    Ok((app, function))
}

type Functions = BTreeMap<String, (String, Vec<(u32, u32)>)>;

fn read_invocations(path: &Path, day: usize, functions: &mut Functions) -> Result<(), TraceError> {
    let minutes: Vec<String> = (1..=MINUTES_A_DAY).map(|minute| minute.to_string()).collect();
    lines(path, |columns, fields| {
        let (app, function) = names(columns, fields)?;
        let (_, invocations) = functions.entry(function).or_insert_with(|| (app, Vec::new()));
        for (minute, name) in minutes.iter().enumerate() {
            // A trace may end before its day does.
            if !columns.contains_key(name.as_str()) {
                break;
            }
            let text = field(columns, fields, name)?;
            let count: u32 = text.parse().map_err(|_| format!("minute {name} is `{text}`"))?;
            if count > 0 {
                invocations.push(((day * MINUTES_A_DAY + minute) as u32, count));
            }
        }
        Ok(())
    })
}

fn read_durations(path: &Path, durations: &mut HashMap<String, [f64; 7]>) -> Result<(), TraceError> {
    lines(path, |columns, fields| {
        let (_, function) = names(columns, fields)?;
        let mut found = [0.0; 7];
        for (value, percentile) in found.iter_mut().zip(["0", "1", "25", "50", "75", "99", "100"]) {
            *value = number(columns, fields, &format!("percentile_Average_{percentile}"))?;
        }
        durations.insert(function, found);
        Ok(())
    })
}

fn read_memory(path: &Path, memory: &mut HashMap<String, f64>) -> Result<(), TraceError> {
    lines(path, |columns, fields| {
        let app = format!("{}/{}", field(columns, fields, "HashOwner")?, field(columns, fields, "HashApp")?);
        memory.insert(app, number(columns, fields, "AverageAllocatedMb")?);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn write(folder: &Path, name: &str, text: &str) {
        std::fs::write(folder.join(name), text).unwrap();
    }

    #[test]
    fn the_datasets_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let invocations = "HashOwner,HashApp,HashFunction,Trigger,1,2,3\no,a,f,http,0,2,1\no,a,g,timer,1,0,0\n";
        write(folder.path(), "invocations_per_function_md.anon.d01.csv", invocations);
        write(folder.path(), "invocations_per_function_md.anon.d02.csv", invocations);
        write(
            folder.path(),
            "function_durations_percentiles.anon.d01.csv",
            "HashOwner,HashApp,HashFunction,Average,Count,Minimum,Maximum,percentile_Average_0,percentile_Average_1,\
             percentile_Average_25,percentile_Average_50,percentile_Average_75,percentile_Average_99,percentile_Average_100\n\
             o,a,f,5,9,1,9,1,2,3,4,5,6,7\n",
        );
        write(
            folder.path(),
            "app_memory_percentiles.anon.d01.csv",
            "HashOwner,HashApp,SampleCount,AverageAllocatedMb\no,a,1,77\n",
        );
        let trace = Trace::read(folder.path(), 100).unwrap();
        assert_eq!((trace.minutes, trace.invocations()), (2880, 8));
        let f = &trace.functions[0];
        assert_eq!(f.invocations, [(1, 2), (2, 1), (1441, 2), (1442, 1)]);
        assert_eq!((f.durations_ms, f.memory_mb), ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 77.0));
        assert_eq!(trace.functions[1].durations_ms, DURATIONS_MS);
        assert_eq!(Trace::read(folder.path(), 1).unwrap().functions.len(), 1);
    }

    #[test]
    fn what_is_no_trace_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let told = || Trace::read(folder.path(), 9).unwrap_err().to_string();
        assert!(told().contains("no file named"));
        write(folder.path(), "invocations_per_function_md.x.csv", "HashOwner,HashApp,HashFunction,1\no,a,f,x\n");
        assert!(told().contains("line 2: minute 1 is `x`"), "{}", told());
        write(folder.path(), "invocations_per_function_md.x.csv", "HashOwner,1\no,1\n");
        assert!(told().contains("no column `HashApp`"), "{}", told());
    }

    #[test]
    fn samples_are_the_same_each_time() {
        let sample = Trace::sample(50, 1, 7);
        assert_eq!(sample, Trace::sample(50, 1, 7));
        assert!(sample.invocations() > 1000);
    }
}
