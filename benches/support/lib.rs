//! The messages and frames that the benchmarks share.
