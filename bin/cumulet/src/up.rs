//! Wiring: written next.
