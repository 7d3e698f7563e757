//! An Objective-C runtime for running objc2 code on Linux, in tests.
//!
//! It speaks the GNUstep message ABI (`objc_msg_lookup`), which objc2 selects by a feature. It differs from a production
//! runtime on purpose: a deallocated instance stays in memory for a while as a zombie, so that use after release is
//! reported by name, and every class counts its live instances.
#![allow(non_upper_case_globals)]

mod block;
mod census;
mod class;
mod message;
mod method;
mod nsobject;
mod object;
mod pool;
mod prelude;
mod protocol;
mod selector;
mod types;
mod weak;
mod zombie;

pub use block::live_blocks;
pub use census::{Census, census};
pub use pool::autoreleased;
