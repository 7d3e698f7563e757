//! Reports of every command that trains.

mod reporter;

pub use reporter::Reporter;
