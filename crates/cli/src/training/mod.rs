//! What every command that trains tells meanwhile.

mod reporter;

pub use reporter::Reporter;
