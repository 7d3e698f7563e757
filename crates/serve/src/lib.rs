//! OpenAI's interface over HTTP to metal-candle's engine.
//!
//! ```text
//! body -> request: fields, prompt -> job -> worker: the engine's thread -> events -> reply: JSON or a stream
//! ```
//!
//! One thread owns the engine; texts of all clients are generated in one batch, each with the adapter that its request
//! names. `docs/server.md` lists the fields that are honoured, ignored and refused.

mod body;
mod catalogue;
mod error;
mod http;
mod identity;
mod job;
mod reply;
mod request;
mod server;
mod settings;
mod worker;

pub use catalogue::{Catalogue, Entry};
pub use error::Error;
pub use server::Server;
pub use settings::Settings;
