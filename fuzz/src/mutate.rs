//! Inputs from inputs: bytes flipped, cut, doubled, nested and mixed with those of other seeds.

/// Longest input made.
const BYTES_MAX: usize = 16 * 1024;
/// Changes to one input.
const CHANGES_MAX: u64 = 8;
/// Bytes that parsers treat unlike others.
const SPECIAL: &[u8] = b"\0\x01\x7f\x80\xff\n\r\t \"'\\/,:;=&%?#*+-.0123456789eE[]{}()<>!|~$@`^_aAzZ";

pub struct Walk {
    state: u64,
    pool: Vec<Vec<u8>>,
}

impl Walk {
    pub fn new(seed: u64, seeds: &[&[u8]]) -> Walk {
        let mut pool: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.to_vec()).collect();
        pool.push(Vec::new());
        Walk { state: seed | 1, pool }
    }

    /// Xorshift: good enough to choose by, and the same everywhere.
    fn draw(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.draw() % (limit.max(1) as u64)).unwrap_or_default()
    }

    fn piece(&mut self, of: &[u8]) -> std::ops::Range<usize> {
        let start = self.below(of.len());
        // Mostly short, now and then the rest.
        let length =
            if self.draw().is_multiple_of(4) { of.len() - start } else { self.below(16).min(of.len() - start) };
        start..start + length
    }

    pub fn next_input(&mut self) -> Vec<u8> {
        let chosen = self.below(self.pool.len());
        let mut input = self.pool[chosen].clone();
        for _ in 0..=self.draw() % CHANGES_MAX {
            self.change(&mut input);
        }
        input.truncate(BYTES_MAX);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len() + 1);
        match self.draw() % 8 {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = SPECIAL[self.below(SPECIAL.len())],
            2 => input.insert(at, SPECIAL[self.below(SPECIAL.len())]),
            3 => drop(input.drain(self.piece(input))),
            4 => {
                let other = self.below(self.pool.len());
                let range = self.piece(&self.pool[other].clone());
                let bytes = self.pool[other][range].to_vec();
                input.splice(at..at, bytes);
            }
            5 => {
                let range = self.piece(input);
                let bytes = input[range].to_vec();
                input.splice(at..at, bytes);
            }
            // Deep nesting and long runs.
            6 => {
                let range = self.piece(input);
                let times = 1 << self.below(10);
                let bytes = input[range].repeat(times);
                input.splice(at..at, bytes);
                input.truncate(BYTES_MAX);
            }
            _ => {
                let number: &[u8] = [&b"18446744073709551616"[..], b"-1", b"0", b"1e999", b"NaN"][self.below(5)];
                input.splice(at..at, number.iter().copied());
            }
        }
    }
}
