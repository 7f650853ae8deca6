//! `cumulet-fuzz TARGET [INPUTS] [SEED]` runs one target, `cumulet-fuzz all` each of them; `cumulet-fuzz TARGET FILE`
//! runs one input again. What breaks a target is written to `fuzz-TARGET.bin`.

use std::process::ExitCode;

use cumulet_fuzz::Target;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let count = arguments.next().unwrap_or_else(|| "1000000".to_owned());
    let seed = arguments.next().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let chosen: Vec<&Target> =
        cumulet_fuzz::targets().into_iter().filter(|target| name == "all" || name == target.name).collect();
    if chosen.is_empty() {
        eprintln!("usage: cumulet-fuzz all|TARGET [INPUTS [SEED] | FILE]; the targets:");
        for target in cumulet_fuzz::targets() {
            eprintln!("  {}", target.name);
        }
        return ExitCode::from(2);
    }
    let mut is_good = true;
    for target in chosen {
        let Ok(inputs) = count.parse() else {
            match std::fs::read(&count) {
                Ok(input) => (target.run)(&input),
                Err(e) => {
                    eprintln!("{count}: {e}");
                    return ExitCode::from(2);
                }
            }
            continue;
        };
        if let Err(input) = cumulet_fuzz::run(target, seed, inputs) {
            is_good = false;
            let file = format!("fuzz-{}.bin", target.name);
            match std::fs::write(&file, &input) {
                Ok(()) => eprintln!("{}: broken by {file}", target.name),
                Err(e) => eprintln!("{}: broken by {input:?} ({file}: {e})", target.name),
            }
        } else {
            println!("{}: {inputs} inputs", target.name);
        }
    }
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
