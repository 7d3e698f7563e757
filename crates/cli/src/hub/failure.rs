//! Failures of an attempt to fetch a file, and so whether another may succeed.

use crate::error::Error;
use std::fmt;
use ureq::http::StatusCode;

/// A failed attempt.
#[derive(Debug)]
pub enum Failure {
    /// The network or a server; what has arrived is kept, and the rest is asked for.
    Network(String),
    /// What arrived is not the file; nothing of it is kept.
    Damaged(String),
    /// The server refuses.
    Status(StatusCode),
    /// The server's answers make no sense, now or later.
    Useless(String),
    /// Something else than the network.
    Other(Error),
}

impl Failure {
    /// Whether a server that is asked again may answer otherwise.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Network(_) | Self::Damaged(_) => true,
            Self::Status(status) => {
                status.is_server_error()
                    || matches!(
                        *status,
                        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
                    )
            }
            Self::Useless(_) | Self::Other(_) => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(reason) | Self::Damaged(reason) | Self::Useless(reason) => {
                f.write_str(reason)
            }
            Self::Status(status) => write!(f, "the server answers {status}"),
            Self::Other(error) => f.write_str(error.message()),
        }
    }
}
