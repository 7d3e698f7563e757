//! Requests to the hub and to the servers it leads to. The token is for the hub alone.

use super::address::{Origin, redirected};
use super::environment::Environment;
use super::failure::Failure;
use super::told::Told;
use std::time::Duration;
use ureq::http::{Response, StatusCode, header};
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Body};

/// More than any hub needs.
const MAX_REDIRECTS: usize = 10;

/// An answer, and what the hub told on the way to it.
pub struct Answer {
    /// The last answer; its body has not been read.
    pub response: Response<Body>,
    /// What the hub's own answers said of the file.
    pub told: Told,
}

/// The way to one hub.
pub struct Connection {
    agent: Agent,
    hub: Option<Origin>,
    token: Option<String>,
}

impl Connection {
    /// A connection that is made when it is used.
    pub fn new(environment: &Environment) -> Self {
        Self {
            agent: agent(environment.patience),
            hub: Origin::of(&environment.endpoint).ok(),
            token: environment.token.clone(),
        }
    }

    /// What is at `url` from a byte on. Redirects are followed here, because headers on the way count and the token
    /// must not go along.
    ///
    /// # Errors
    /// When the network or a server fails; not when a server refuses.
    pub fn get(&self, url: &str, from_byte: u64) -> Result<Answer, Failure> {
        let mut url = url.to_string();
        let mut told = Told::default();
        for _ in 0..=MAX_REDIRECTS {
            let is_hub = Origin::of(&url).ok() == self.hub;
            let response = self.send(&url, from_byte, is_hub)?;
            if is_hub {
                told.note(response.headers());
            }
            let Some(location) = location(&response) else {
                return Ok(Answer { response, told });
            };
            url = redirected(&url, &location).map_err(Failure::Useless)?;
        }
        Err(Failure::Useless(format!(
            "more than {MAX_REDIRECTS} redirects, the last to {url}"
        )))
    }

    fn send(&self, url: &str, from_byte: u64, is_hub: bool) -> Result<Response<Body>, Failure> {
        // The bytes themselves are hashed and continued.
        let mut request = self
            .agent
            .get(url)
            .header(header::ACCEPT_ENCODING, "identity");
        if let (Some(token), true) = (&self.token, is_hub) {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if from_byte > 0 {
            request = request.header(header::RANGE, format!("bytes={from_byte}-"));
        }
        request
            .call()
            .map_err(|error| Failure::Network(error.to_string()))
    }
}

/// Where an answer leads.
fn location(response: &Response<Body>) -> Option<String> {
    let leads = matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let location = response.headers().get(header::LOCATION).filter(|_| leads)?;
    location.to_str().ok().map(String::from)
}

/// The system's TLS on Apple, rustls elsewhere: see this crate's manifest. The system's certificates
/// everywhere. `patience` is how long a server may send nothing.
fn agent(patience: Duration) -> Agent {
    let provider = match cfg!(target_vendor = "apple") {
        true => TlsProvider::NativeTls,
        false => TlsProvider::Rustls,
    };
    let tls = TlsConfig::builder()
        .provider(provider)
        .root_certs(RootCerts::PlatformVerifier)
        .build();
    Agent::config_builder()
        .tls_config(tls)
        .max_redirects(0)
        .http_status_as_error(false)
        .timeout_connect(Some(patience))
        .timeout_recv_response(Some(2 * patience))
        // Not for whole bodies: a file may take its time.
        .timeout_per_read(Some(patience))
        .build()
        .into()
}
