//! Broadcasting sums and products, and copies in order: what graphs are put together with, `graph/elementwise.rs`.

pub mod check;
