//! Order of MPS work and candle's, as plain data.
//!
//! candle encodes into one command buffer and one concurrent encoder that all threads share, on a
//! queue that nobody else can reach, over buffers that Metal does not track. MPS work beside it is
//! ordered with it by exactly what is said here: a [`Strategy`] is a [`script`], a list of
//! [`Step`]s that the Apple side walks one to one. The tests of this crate walk the same lists
//! through a model of candle's and Metal's rules, in every interleaving that is small enough.
//!
//! | strategy | what orders | waits of the host |
//! |---|---|---|
//! | [`Strategy::Blocking`] | the host, which waits for both sides | 2 for every call |
//! | [`Strategy::FenceBridge`] | two fences between candle's queue and ours | none |
//! | [`Strategy::SameBuffer`] | candle's own fences, in candle's own command buffer | none |

mod budget;
mod key;
mod ledger;
mod passes;
mod pool;
mod proof;
mod rounds;
mod script;

pub use budget::{BUFFER_FLOPS, Budget};
pub use key::{CANDLE_VERSION, Key, LitmusRounds, SCHEMA};
pub use ledger::Ledger;
pub use passes::{MAX_PASSES_PER_BUFFER, PASSES_VARIABLE, PassesPerBuffer};
pub use pool::{Checkout, MAX_IDLE, Pool};
pub use proof::{Litmus, Refusal, Strategy};
pub use rounds::Rounds;
pub use script::{Call, Fence, Step, script};
