//! Fetching a model into the cache. A file appears under its name when it is whole; what was
//! fetched of it before an interruption is kept and continued. The model appears, by its
//! reference, when all its files are there.

use super::cache;
use super::environment::Environment;
use super::files::{INDEX, OPTIONAL, REQUIRED, SINGLE, shards};
use crate::error::{Error, Result};
use crate::terminal::Terminal;
use serde::Deserialize;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use ureq::Agent;
use ureq::config::RedirectAuthHeaders;
use ureq::http::{Response, StatusCode, header};
use ureq::tls::{TlsConfig, TlsProvider};

const BAR: &str = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}";

/// A model as the hub describes it.
#[derive(Deserialize)]
struct Description {
    /// The commit that is the latest now: every file is fetched from it, whatever is pushed
    /// meanwhile.
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Description {
    fn has(&self, file: &str) -> bool {
        self.siblings.iter().any(|other| other.rfilename == file)
    }
}

/// Downloads the model `name`; gives its folder.
///
/// # Errors
/// When there is no such model, no network, or no room.
pub fn download(environment: &Environment, name: &str, terminal: &Terminal) -> Result<PathBuf> {
    let hub = Hub {
        environment,
        agent: agent(),
        name,
        terminal,
    };
    let description = hub.describe()?;
    let repo = cache::repo(environment, name);
    let folder = repo.pointer_path(&description.sha);
    for file in hub.small_files(&description)? {
        hub.fetch(&description.sha, file, &folder)?;
    }
    for file in hub.weight_files(&description, &folder)? {
        hub.fetch(&description.sha, &file, &folder)?;
    }
    let reference = repo.create_ref(&description.sha);
    reference.map_err(|source| hub.cannot_write(&folder, &source))?;
    Ok(folder)
}

/// The system's TLS on Apple, rustls elsewhere: see this crate's manifest.
fn agent() -> Agent {
    let provider = match cfg!(target_vendor = "apple") {
        true => TlsProvider::NativeTls,
        false => TlsProvider::Rustls,
    };
    Agent::config_builder()
        .tls_config(TlsConfig::builder().provider(provider).build())
        // Files lie on other hosts, which must not see the token.
        .redirect_auth_headers(RedirectAuthHeaders::SameHost)
        .http_status_as_error(false)
        .build()
        .into()
}

struct Hub<'a> {
    environment: &'a Environment,
    agent: Agent,
    name: &'a str,
    terminal: &'a Terminal,
}

impl Hub<'_> {
    fn describe(&self) -> Result<Description> {
        let endpoint = &self.environment.endpoint;
        let url = format!("{endpoint}/api/models/{}/revision/main", self.name);
        let mut response = self.get(&url, 0)?;
        let parsed: std::result::Result<Description, _> = response.body_mut().read_json();
        let description = parsed.map_err(|error| self.network(&url, &error))?;
        match description.sha.chars().all(|c| c.is_ascii_alphanumeric()) {
            true => Ok(description),
            false => Err(Error::failed(format!("{url}: not a commit: {}", description.sha))),
        }
    }

    fn small_files(&self, description: &Description) -> Result<impl Iterator<Item = &'static str>> {
        if let Some(missing) = REQUIRED.iter().find(|file| !description.has(file)) {
            return Err(Error::input(format!("{} has no {missing} on the hub", self.name))
                .with_advice("choose a model with Hugging Face's config.json and tokenizer.json"));
        }
        let optional = OPTIONAL.iter().filter(|file| description.has(file));
        let wanted: Vec<_> = REQUIRED.iter().chain(optional).copied().collect();
        Ok(wanted.into_iter())
    }

    fn weight_files(&self, description: &Description, folder: &Path) -> Result<Vec<String>> {
        if !description.has(INDEX) {
            return match description.has(SINGLE) {
                true => Ok(vec![SINGLE.into()]),
                false => Err(Error::input(format!("{} has no safetensors on the hub", self.name))
                    .with_advice("choose a model whose weights are in model.safetensors")),
            };
        }
        self.fetch(&description.sha, INDEX, folder)?;
        let names = shards(&folder.join(INDEX))?;
        match names.iter().find(|name| !is_file_name(name)) {
            Some(name) => Err(Error::input(format!("{INDEX}: not the name of a file: {name:?}"))),
            None => Ok(names.into_iter().collect()),
        }
    }

    /// Makes `file` of commit `sha` be in `folder`.
    fn fetch(&self, sha: &str, file: &str, folder: &Path) -> Result<()> {
        let path = folder.join(file);
        if path.exists() {
            return Ok(());
        }
        let part = part_of(&path);
        let failed = |source: io::Error| self.cannot_write(&part, &source);
        std::fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(failed)?;
        let mut options = OpenOptions::new();
        let mut opened = options.create(true).append(true).open(&part).map_err(failed)?;
        // Whoever else fetches the same file goes first.
        opened.lock().map_err(failed)?;
        if path.exists() {
            return Ok(());
        }
        let endpoint = &self.environment.endpoint;
        let url = format!("{endpoint}/{}/resolve/{sha}/{file}", self.name);
        self.fill(&url, file, &part, &mut opened)?;
        std::fs::rename(&part, &path).map_err(failed)
    }

    /// Fetches what `part` lacks.
    fn fill(&self, url: &str, file: &str, part: &Path, opened: &mut File) -> Result<()> {
        let failed = |source: io::Error| self.cannot_write(part, &source);
        let held = opened.metadata().map_err(failed)?.len();
        let response = self.get(url, held)?;
        let held = match response.status() {
            StatusCode::PARTIAL_CONTENT => held,
            // The server sends all of it.
            _ => opened.set_len(0).map(|()| 0).map_err(failed)?,
        };
        let rest = length(&response);
        let bar = self.terminal.bar((held + rest.unwrap_or(0)) as usize, BAR);
        bar.set_message(file.to_string());
        bar.set_position(held);
        let mut body = bar.wrap_read(response.into_body().into_reader());
        let received = copy(&mut body, opened, url, self).and_then(|n| {
            opened.sync_all().map_err(failed)?;
            Ok(n)
        })?;
        bar.finish_and_clear();
        match rest {
            Some(rest) if rest != received => {
                Err(self.network(url, &format!("{received} of {rest} bytes arrived")))
            }
            _ => Ok(()),
        }
    }

    fn get(&self, url: &str, from_byte: u64) -> Result<Response<ureq::Body>> {
        let mut request = self.agent.get(url);
        if let Some(token) = &self.environment.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if from_byte > 0 {
            request = request.header(header::RANGE, format!("bytes={from_byte}-"));
        }
        let response = request.call().map_err(|error| self.network(url, &error))?;
        match response.status() {
            status if status.is_success() => Ok(response),
            status => Err(self.refused(url, status)),
        }
    }
}
