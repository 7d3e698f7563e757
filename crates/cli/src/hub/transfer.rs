//! Files over HTTP. A file appears under its name when it is whole; what was fetched of it before
//! an interruption is kept and continued.

use super::environment::Environment;
use crate::error::{Error, Result};
use crate::terminal::Terminal;
use indicatif::ProgressBar;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::config::RedirectAuthHeaders;
use ureq::http::{Response, StatusCode, header};
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Body};

const BAR: &str = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}";

/// Written at once, and the step of the progress bar.
const CHUNK_BYTES: usize = 1 << 18;

/// Fetches files of one model.
pub struct Transfer<'a> {
    environment: &'a Environment,
    name: &'a str,
    terminal: &'a Terminal,
    agent: Agent,
}

impl<'a> Transfer<'a> {
    /// A connection that is made when it is used.
    pub fn new(environment: &'a Environment, name: &'a str, terminal: &'a Terminal) -> Self {
        Self {
            environment,
            name,
            terminal,
            agent: agent(),
        }
    }

    /// Reads a JSON document.
    ///
    /// # Errors
    /// When the network or the server fails.
    pub fn json<T: DeserializeOwned>(&self, url: &str) -> Result<T> {
        let mut response = self.get(url, 0)?;
        let parsed = response.body_mut().read_json();
        parsed.map_err(|error| self.no_network(url, error))
    }

    /// Makes `path` hold what is at `url`; `label` is shown beside its progress.
    ///
    /// # Errors
    /// When the network or the server fails, or there is no room.
    pub fn file(&self, url: &str, label: &str, path: &Path) -> Result<()> {
        if path.exists() {
            return Ok(());
        }
        let part = part_of(path);
        let failed = |source: io::Error| self.cannot_write(&part, &source);
        std::fs::create_dir_all(path.parent().unwrap_or(path)).map_err(failed)?;
        let mut options = OpenOptions::new();
        let mut file = options
            .create(true)
            .append(true)
            .open(&part)
            .map_err(failed)?;
        // Another process that fetches the same file goes first.
        file.lock().map_err(failed)?;
        if path.exists() {
            return Ok(());
        }
        self.fill(url, label, &part, &mut file)?;
        file.sync_all().map_err(failed)?;
        std::fs::rename(&part, path).map_err(failed)
    }

    /// Fetches what `file` lacks; `part` is its path.
    fn fill(&self, url: &str, label: &str, part: &Path, file: &mut File) -> Result<()> {
        let failed = |source: io::Error| self.cannot_write(part, &source);
        let mut held = file.metadata().map_err(failed)?.len();
        let response = self.get(url, held)?;
        if response.status() != StatusCode::PARTIAL_CONTENT {
            // The server sends all of it.
            file.set_len(0).map_err(failed)?;
            held = 0;
        }
        let expected = content_length(&response);
        let bar = self
            .terminal
            .bar((held + expected.unwrap_or(0)) as usize, BAR);
        bar.set_message(label.to_string());
        bar.set_position(held);
        let received = self.receive(url, response, part, file, &bar)?;
        bar.finish_and_clear();
        match expected {
            Some(expected) if expected != received => {
                let what = format!("{received} of {expected} bytes arrived");
                Err(self.no_network(url, what))
            }
            _ => Ok(()),
        }
    }

    fn receive(
        &self,
        url: &str,
        response: Response<Body>,
        part: &Path,
        file: &mut File,
        bar: &ProgressBar,
    ) -> Result<u64> {
        let mut body = response.into_body().into_reader();
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut received = 0;
        loop {
            let n = body
                .read(&mut chunk)
                .map_err(|error| self.no_network(url, error))?;
            if n == 0 {
                return Ok(received);
            }
            let written = file.write_all(&chunk[..n]);
            written.map_err(|source| self.cannot_write(part, &source))?;
            received += n as u64;
            bar.inc(n as u64);
        }
    }

    /// What is at `url` from a byte on.
    fn get(&self, url: &str, from_byte: u64) -> Result<Response<Body>> {
        let mut request = self.agent.get(url);
        if let Some(token) = &self.environment.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if from_byte > 0 {
            request = request.header(header::RANGE, format!("bytes={from_byte}-"));
        }
        let response = request
            .call()
            .map_err(|error| self.no_network(url, error))?;
        match response.status() {
            status if status.is_success() => Ok(response),
            // Nothing follows: it was whole, or it is not what the server has. Once more, then.
            StatusCode::RANGE_NOT_SATISFIABLE if from_byte > 0 => self.get(url, 0),
            status => Err(self.refused(url, status)),
        }
    }

    fn refused(&self, url: &str, status: StatusCode) -> Error {
        let name = self.name;
        let advice = match status {
            StatusCode::NOT_FOUND => "check the name; a private model needs HF_TOKEN",
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                "check the name; for a private or gated model accept its terms on its page and set \
                 HF_TOKEN to a token that may read it"
            }
            StatusCode::TOO_MANY_REQUESTS => "wait, or set HF_TOKEN: the hub allows more with one",
            _ => "try again later: what was fetched is kept",
        };
        Error::input(format!("cannot download {name}: {url} answers {status}")).with_advice(advice)
    }

    fn no_network(&self, url: &str, error: impl Display) -> Error {
        let (name, cache) = (self.name, self.environment.cache.display());
        Error::failed(format!(
            "there is no folder {name}, the model is not in the cache {cache}, \
             and it cannot be downloaded: {url}: {error}"
        ))
        .with_advice("check the network and try again (what was fetched is kept), or name a folder with --model")
    }

    /// The error of a cache that cannot be written.
    pub fn cannot_write(&self, path: &Path, source: &io::Error) -> Error {
        Error::failed(format!("cannot write {}: {source}", path.display()))
            .with_advice("make room, or set HF_HOME to another folder")
    }
}

/// The system's TLS on Apple, rustls elsewhere: see this crate's manifest. The system's certificates
/// everywhere.
fn agent() -> Agent {
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
        // Files lie on other hosts, which must not see the token.
        .redirect_auth_headers(RedirectAuthHeaders::SameHost)
        .http_status_as_error(false)
        // Not for bodies: a file may take its time.
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .build()
        .into()
}

/// Where a file grows before it is whole.
fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn content_length(response: &Response<Body>) -> Option<u64> {
    let value = response.headers().get(header::CONTENT_LENGTH)?;
    value.to_str().ok()?.parse().ok()
}
