//! A token bucket in one atomic word: the generic cell rate algorithm. Time is an argument.

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug)]
pub struct Bucket {
    interval_ns: u64,
    burst_ns: u64,
    /// When the bucket would be full again.
    full_at_ns: AtomicU64,
}

impl Bucket {
    /// `rate` tokens a second, at most `burst` at once. Either being 0 lets nothing through.
    pub fn new(rate: f64, burst: u32) -> Bucket {
        let interval_ns = match rate > 0.0 {
            // Saturates, so that a tiny rate is a very long interval.
            true => (1e9 / rate).max(1.0) as u64,
            false => u64::MAX,
        };
        Bucket {
            interval_ns,
            burst_ns: match interval_ns {
                u64::MAX => 0,
                _ => interval_ns.saturating_mul(u64::from(burst)),
            },
            full_at_ns: AtomicU64::new(0),
        }
    }

    /// Takes one token if there is one.
    pub fn take(&self, now_ns: u64) -> bool {
        let taken = self.full_at_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            let next = full_at.max(now_ns).saturating_add(self.interval_ns);
            (next - now_ns <= self.burst_ns).then_some(next)
        });
        taken.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_then_rate() {
        let bucket = Bucket::new(10.0, 2);
        assert!(bucket.take(0) && bucket.take(0) && !bucket.take(0));
        assert!(!bucket.take(99_999_999));
        assert!(bucket.take(100_000_000) && !bucket.take(100_000_000));
        assert!(bucket.take(9_000_000_000) && bucket.take(9_000_000_000));
        assert!(!Bucket::new(0.0, 5).take(1) && !Bucket::new(5.0, 0).take(1));
    }
}
