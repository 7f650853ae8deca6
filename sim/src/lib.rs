//! The engine's policy over traces of traffic, beside fixed keep-alive and the hybrid histogram of "Serverless in the Wild"
//! (USENIX ATC 2020). Deterministic: the same trace and settings give the same figures. What it decides with is the code
//! that production runs; only processes, memory and time are pretended.

mod baselines;
mod chart;
mod report;
mod run;
pub mod trace;

pub use report::{Comparison, Row, compare};
pub use run::Settings;

/// Microseconds.
pub(crate) const SECOND: u64 = 1_000_000;
pub(crate) const MINUTE: u64 = 60 * SECOND;

/// A generator of numbers that is the same everywhere (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// In 0 (included) to 1 (not).
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}
