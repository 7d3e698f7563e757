//! What every command that trains needs: the rows of each step, and what is told meanwhile.

mod reporter;
mod windows;

pub use reporter::Reporter;
pub use windows::{Windows, sample};
