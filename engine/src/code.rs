//! Unpacking of function code: written next.
