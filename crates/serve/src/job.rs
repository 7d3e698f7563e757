//! Work that connections hand to the engine's thread, and what comes back.

use crate::error::Error;
use metal_candle::generate::{FinishReason, Request, Token};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedSender;

/// Texts of one request.
pub struct Job {
    /// Number of the model in the catalogue.
    pub model: usize,
    /// A text each.
    pub texts: Vec<Request>,
    /// Strings that end each of them.
    pub stop: Vec<String>,
    /// Where events go; a client that has left has closed it.
    pub events: UnboundedSender<Event>,
    /// Places of the texts among those that run or wait.
    pub places: OwnedSemaphorePermit,
}

/// Event of one text.
pub struct Event {
    /// Number of the text in its job.
    pub text: usize,
    /// What came of the step.
    pub piece: Result<Piece, Error>,
}

/// Outcome of one step of a text.
pub struct Piece {
    /// Text that can be shown now.
    pub text: String,
    /// The token that was chosen; `None` where the text ended instead.
    pub token: Option<Token>,
    /// Why the text ends here, if it does.
    pub finished: Option<FinishReason>,
}

impl Piece {
    /// Whether a token that is no part of the text ended it.
    pub fn has_end_token(&self) -> bool {
        self.token.is_none() && self.finished == Some(FinishReason::Stop)
    }
}
