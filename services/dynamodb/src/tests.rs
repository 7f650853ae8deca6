//! Each operation and the errors it declares, over the store in memory.
