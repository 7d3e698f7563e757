//! Files over HTTP. A file appears under its name when it is whole and has the hash that the hub tells; what was fetched
//! of it before an interruption is kept and continued.

use super::connection::{Answer, Connection};
use super::environment::Environment;
use super::failure::Failure;
use super::told::{Range, content_length, is_encoded};
use super::whole::{damage_by_digest, damage_in_cache, damage_of};
use crate::error::{Error, Result};
use crate::terminal::Terminal;
use indicatif::ProgressBar;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::Body;
use ureq::http::{Response, StatusCode};

const BAR: &str = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}";

/// Written at once, and the step of the progress bar.
const CHUNK_BYTES: usize = 1 << 18;

/// Longest JSON document: a million names of files.
const MAX_JSON_BYTES: u64 = 128 << 20;

/// Attempts to fetch one file.
const ATTEMPTS: u32 = 3;

/// Wait before the second attempt, and twice as long before the next.
const WAIT: Duration = Duration::from_millis(500);

type Attempt<T> = std::result::Result<T, Failure>;

/// Transfer of the files of one model.
pub struct Transfer<'a> {
    environment: &'a Environment,
    name: &'a str,
    terminal: &'a Terminal,
    connection: Connection,
}

/// A file that is wanted.
pub struct Wanted<'a> {
    /// Where it is.
    pub url: &'a str,
    /// Its name, shown beside its progress.
    pub name: &'a str,
    /// Where it shall be.
    pub path: &'a Path,
    /// What is longer is not such a file.
    pub max_bytes: u64,
}

impl<'a> Transfer<'a> {
    /// A connection that is made when it is used.
    pub fn new(environment: &'a Environment, name: &'a str, terminal: &'a Terminal) -> Self {
        Self {
            environment,
            name,
            terminal,
            connection: Connection::new(environment),
        }
    }

    /// Reads a JSON document.
    ///
    /// # Errors
    /// When the network or the server fails.
    pub fn json<T: DeserializeOwned>(&self, url: &str) -> Result<T> {
        self.repeated(url, || {
            let mut response = self.get(url, 0)?.response;
            let body = response
                .body_mut()
                .with_config()
                .limit(MAX_JSON_BYTES)
                .reader();
            serde_json::from_reader(BufReader::new(body)).map_err(|error| match error.is_io() {
                true => Failure::Network(error.to_string()),
                false => Failure::Useless(format!("not the description of a model: {error}")),
            })
        })
    }

    /// Makes `wanted.path` hold what is at its address.
    ///
    /// # Errors
    /// When the network or the server fails, or there is no room.
    pub fn file(&self, wanted: &Wanted<'_>) -> Result<()> {
        let path = wanted.path;
        if self.is_there(wanted)? {
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
        let filled = self.repeated(wanted.url, || self.fill(wanted, &part, &mut file));
        if filled.is_err() && file.metadata().is_ok_and(|held| held.len() == 0) {
            // Nothing of it is worth to be continued.
            let _ = std::fs::remove_file(&part);
        }
        filled?;
        file.sync_all().map_err(failed)?;
        std::fs::rename(&part, path).map_err(failed)
    }

    /// Whether the file is there and is what the hub has; another one is removed.
    fn is_there(&self, wanted: &Wanted<'_>) -> Result<bool> {
        let path = wanted.path;
        if path.symlink_metadata().is_err() {
            return Ok(false);
        }
        let damage = self.repeated(wanted.url, || {
            let Answer { response, told } = self.get(wanted.url, 0)?;
            let size = told.size.or_else(|| content_length(response.headers()));
            Ok(damage_in_cache(path)
                .or_else(|| other_size(path, size?))
                .or_else(|| damage_by_digest(path, &told.digest?)))
        })?;
        let Some(damage) = damage else {
            return Ok(true);
        };
        tracing::warn!("{}: {damage}; it is fetched again", path.display());
        let removed = std::fs::remove_file(path);
        removed.map_err(|source| self.cannot_write(path, &source))?;
        Ok(false)
    }

    /// Does `work` until it succeeds, or would not any more.
    fn repeated<T>(&self, url: &str, mut work: impl FnMut() -> Attempt<T>) -> Result<T> {
        let mut wait = WAIT;
        let mut n_damaged = 0;
        for attempt in 1.. {
            let failure = match work() {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            n_damaged += u32::from(matches!(failure, Failure::Damaged(_)));
            if !failure.is_passing() || attempt == ATTEMPTS || n_damaged == 2 {
                return Err(self.error(url, failure));
            }
            let next = attempt + 1;
            tracing::warn!("{url}: {failure}; attempt {next} of {ATTEMPTS}");
            std::thread::sleep(wait);
            wait *= 2;
        }
        Err(self.no_network(url, "no attempt was made"))
    }

    /// Fetches what `file` lacks; `part` is its path.
    fn fill(&self, wanted: &Wanted<'_>, part: &Path, file: &mut File) -> Attempt<()> {
        let held = file
            .metadata()
            .map_err(|source| self.unwritten(part, &source))?
            .len();
        let answer = self.get(wanted.url, held)?;
        let filled = self.receive(wanted, &answer.told, answer.response, part, file, held);
        let checked = filled.and_then(|()| match &answer.told.digest {
            Some(digest) => {
                let got = digest
                    .mismatch(part)
                    .map_err(|source| self.unwritten(part, &source))?;
                got.map_or(Ok(()), |got| {
                    Err(Failure::Damaged(format!("expected {digest}, got {got}")))
                })
            }
            None => {
                damage_of(part, wanted.name).map_or(Ok(()), |damage| Err(Failure::Damaged(damage)))
            }
        });
        if let Err(Failure::Damaged(_)) = checked {
            file.set_len(0)
                .map_err(|source| self.unwritten(part, &source))?;
        }
        checked
    }

    /// Appends an answer to the `held` bytes of `file`, or replaces them.
    fn receive(
        &self,
        wanted: &Wanted<'_>,
        told: &super::told::Told,
        response: Response<Body>,
        part: &Path,
        file: &mut File,
        held: u64,
    ) -> Attempt<()> {
        let start = start(&response, held)?;
        if start < held {
            file.set_len(start)
                .map_err(|source| self.unwritten(part, &source))?;
        }
        let size = size(&response, told.size, start)?;
        let limit = size.unwrap_or(wanted.max_bytes);
        if limit > wanted.max_bytes {
            return Err(Failure::Useless(format!(
                "{limit} bytes are more than a {} has",
                wanted.name
            )));
        }
        let bar = self.terminal.bar(size.unwrap_or(start) as usize, BAR);
        bar.set_message(wanted.name.to_string());
        bar.set_position(start);
        let received = self.copy(response, part, file, &bar, limit.saturating_sub(start))?;
        bar.finish_and_clear();
        match size {
            Some(size) if size != start + received => Err(Failure::Network(format!(
                "{} of {size} bytes arrived",
                start + received
            ))),
            _ => Ok(()),
        }
    }

    /// Copies a body of at most `limit` bytes; gives how many there were.
    fn copy(
        &self,
        response: Response<Body>,
        part: &Path,
        file: &mut File,
        bar: &ProgressBar,
        limit: u64,
    ) -> Attempt<u64> {
        let mut body = response.into_body().into_reader();
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut received = 0;
        loop {
            let n = body
                .read(&mut chunk)
                .map_err(|error| Failure::Network(error.to_string()))?;
            if n == 0 {
                return Ok(received);
            }
            received += n as u64;
            if received > limit {
                return Err(Failure::Damaged(format!(
                    "more than the {limit} bytes that were expected"
                )));
            }
            file.write_all(&chunk[..n])
                .map_err(|source| self.unwritten(part, &source))?;
            bar.inc(n as u64);
        }
    }

    /// What is at `url` from a byte on.
    fn get(&self, url: &str, from_byte: u64) -> Attempt<Answer> {
        let answer = self.connection.get(url, from_byte)?;
        match answer.response.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(answer),
            // Nothing follows what is held: it is whole, or it is not what the server has.
            StatusCode::RANGE_NOT_SATISFIABLE if from_byte > 0 => self.get(url, 0),
            status => Err(Failure::Status(status)),
        }
    }

    fn error(&self, url: &str, failure: Failure) -> Error {
        let name = self.name;
        match failure {
            Failure::Network(reason) => self.no_network(url, reason),
            Failure::Status(status) => self.refused(url, status),
            Failure::Other(error) => error,
            Failure::Damaged(reason) => Error::failed(format!("cannot download {name}: {url}: {reason}"))
                .with_advice("the file arrives damaged, or is not the one that the hub describes: try another network"),
            Failure::Useless(reason) => Error::failed(format!("cannot download {name}: {url}: {reason}"))
                .with_advice("check HF_ENDPOINT, and whether a proxy answers instead of the hub"),
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
        let message = format!("cannot download {name}: {url} answers {status}");
        match status.is_client_error() {
            true => Error::input(message).with_advice(advice),
            false => Error::failed(message).with_advice(advice),
        }
    }

    fn no_network(&self, url: &str, error: impl Display) -> Error {
        let (name, cache) = (self.name, self.environment.cache.display());
        Error::failed(format!(
            "there is no folder {name}, it is not in the cache {cache}, \
             and it cannot be downloaded: {url}: {error}"
        ))
        .with_advice("check the network and try again (what was fetched is kept), or name what lies on this machine")
    }

    fn unwritten(&self, path: &Path, source: &io::Error) -> Failure {
        Failure::Other(self.cannot_write(path, source))
    }

    /// The error of a cache that cannot be written.
    pub fn cannot_write(&self, path: &Path, source: &io::Error) -> Error {
        Error::failed(format!("cannot write {}: {source}", path.display()))
            .with_advice("make room, or set HF_HOME to another folder")
    }
}

/// The byte of the file at which the body of `response` begins, to the request for what follows `held` bytes.
fn start(response: &Response<Body>, held: u64) -> Attempt<u64> {
    if is_encoded(response.headers()) {
        return Err(Failure::Useless(
            "the server sends the file in another encoding".into(),
        ));
    }
    if response.status() == StatusCode::OK {
        return Ok(0);
    }
    match Range::of(response.headers()) {
        Some(range) if held > 0 && range.is_rest_from(held) => Ok(held),
        Some(Range { first, last, .. }) if held > 0 => Err(Failure::Damaged(format!(
            "bytes {first} to {last} came where those from {held} on were asked for"
        ))),
        // Some servers do not say which part it is; the hash, or the size, will.
        None if held > 0 => Ok(held),
        _ => Err(Failure::Damaged(
            "a part of the file came, which nobody asked for".into(),
        )),
    }
}

/// Bytes of the whole file, where anything tells them.
fn size(response: &Response<Body>, linked: Option<u64>, start: u64) -> Attempt<Option<u64>> {
    let by_length = content_length(response.headers()).map(|length| start.saturating_add(length));
    let by_range = Range::of(response.headers()).and_then(|range| range.total);
    let mut sizes = [linked, by_length, by_range].into_iter().flatten();
    let first = sizes.next();
    match sizes.find(|size| Some(*size) != first) {
        Some(other) => Err(Failure::Damaged(format!(
            "the server tells two sizes: {} and {other} bytes",
            first.unwrap_or(0)
        ))),
        None => Ok(first),
    }
}

fn other_size(path: &Path, expected: u64) -> Option<String> {
    let got = path.metadata().map_or(0, |held| held.len());
    (got != expected).then(|| format!("expected {expected} bytes, got {got}"))
}

/// Where a file grows before it is whole.
fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}
