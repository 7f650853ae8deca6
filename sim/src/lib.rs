//! The engine's policy over traces of traffic.
