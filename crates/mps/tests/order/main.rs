//! Scripts of order, and a model of candle's and Metal's rules that they are walked through.
//!
//! `gpu.rs` says what Metal orders, `candle.rs` what candle encodes, `host.rs` how threads walk
//! scripts and candle's operations, `explore.rs` which interleavings are tried.

#![allow(clippy::expect_used, reason = "helpers of tests are tests")]

mod candle;
mod explore;
mod gpu;
mod host;
mod interleavings;
mod removals;
mod scripts;
mod walk;
