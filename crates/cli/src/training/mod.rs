//! Reports of every command that trains.

pub mod checks;
mod reporter;
mod table;

pub use reporter::{Reporter, preferred};
