//! The fuzz room: every parser of outside bytes, by name, and inputs made from good ones by a seeded random walk.
//! Coverage-guided fuzzing of the same targets is in `coverage/`, outside of the workspace: it needs a C++ compiler.

pub mod mutate;

pub use cumulet_base::fuzz::Target;

/// All targets of all crates.
pub fn targets() -> Vec<&'static Target> {
    [
        cumulet_apigateway::fuzz::TARGETS,
        cumulet_cloudformation::fuzz::TARGETS,
        cumulet_cloudwatch::fuzz::TARGETS,
        cumulet_dynamodb::fuzz::TARGETS,
        cumulet_engine::fuzz::TARGETS,
        cumulet_iam::fuzz::TARGETS,
        cumulet_lambda::fuzz::TARGETS,
        cumulet_logs::fuzz::TARGETS,
        cumulet_s3::fuzz::TARGETS,
        cumulet_sandbox::fuzz::TARGETS,
        cumulet_events::fuzz::TARGETS,
        cumulet_scheduler::fuzz::TARGETS,
        cumulet_sns::fuzz::TARGETS,
        cumulet_sqs::fuzz::TARGETS,
        cumulet_ssm::fuzz::TARGETS,
        cumulet_wire::fuzz::TARGETS,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The target of a name.
pub fn target(name: &str) -> Option<&'static Target> {
    targets().into_iter().find(|target| target.name == name)
}

/// Runs a target over `inputs` inputs drawn by `seed`; the same seed draws the same ones.
///
/// # Errors
/// The first input that makes it panic.
pub fn run(target: &Target, seed: u64, inputs: u64) -> Result<(), Vec<u8>> {
    let mut walk = mutate::Walk::new(seed, target.seeds);
    for _ in 0..inputs {
        let input = walk.next_input();
        if std::panic::catch_unwind(|| (target.run)(&input)).is_err() {
            return Err(input);
        }
    }
    Ok(())
}
