//! The server in this process, over connections.
#![allow(missing_docs, clippy::unwrap_used)]

mod adapters;
mod answers;
mod client;
mod errors;
mod fixture;
mod load;
mod streams;
