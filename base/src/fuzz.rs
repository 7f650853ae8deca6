//! What a crate hands to the fuzz room: its parsers of outside bytes, each with inputs to begin from.
//! A crate lists them in its own `fuzz.rs`; `fuzz/` runs them all.

/// One parser, or a chain of them that belongs together.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// `CRATE-PARSER`.
    pub name: &'static str,
    /// Good inputs, from which others are made.
    pub seeds: &'static [&'static [u8]],
    /// Panics when the parser does, or when it breaks a law it is held to.
    pub run: fn(&[u8]),
}
