//! candle's own MSL kernels on the CPU, compared with candle's CPU backend. The names of all that are compared here, and of
//! all that are dispatched anywhere, go where `SOFT_METAL_RECORD` says; `xtask/src/soft_metal/kernels.rs` holds them against
//! each other, and says why some are not here.

mod compare;
mod elementwise;
mod faults;
mod images;
mod indexing;
mod products;
mod rows;
mod training;
