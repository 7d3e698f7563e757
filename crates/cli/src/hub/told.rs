//! Headers of the hub about a file. Those of a file of Git LFS stand on the first answer, which leads to
//! another server.

use super::digest::Digest;
use std::str::FromStr;
use ureq::http::{HeaderMap, header};

/// Facts about a file before it arrives.
#[derive(Debug, Default)]
pub struct Told {
    /// Its hash; mirrors may tell none.
    pub digest: Option<Digest>,
    /// Its size in bytes.
    pub size: Option<u64>,
}

impl Told {
    /// Adds what an answer of the hub says.
    pub fn note(&mut self, headers: &HeaderMap) {
        let etag = text(headers, "x-linked-etag").or_else(|| text(headers, header::ETAG.as_str()));
        self.digest = self.digest.take().or_else(|| Digest::of_etag(etag?));
        self.size = self.size.or_else(|| number(headers, "x-linked-size"));
    }
}

/// Bytes of an answer's body, where it says how many.
pub fn content_length(headers: &HeaderMap) -> Option<u64> {
    number(headers, header::CONTENT_LENGTH.as_str())
}

/// Whether the body is something else than the file's bytes.
pub fn is_encoded(headers: &HeaderMap) -> bool {
    text(headers, header::CONTENT_ENCODING.as_str()).is_some_and(|encoding| encoding != "identity")
}

/// Part of a file: `Content-Range: bytes first-last/total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Offset of the first byte.
    pub first: u64,
    /// Offset of the last byte.
    pub last: u64,
    /// Bytes of the file, where they are known.
    pub total: Option<u64>,
}

impl Range {
    /// The range that an answer names.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        text(headers, header::CONTENT_RANGE.as_str())?.parse().ok()
    }

    /// Whether it is the end of a file, from byte `first` on.
    pub fn is_rest_from(&self, first: u64) -> bool {
        let ends = self
            .total
            .is_none_or(|total| self.last.checked_add(1) == Some(total));
        self.first == first && self.last >= first && ends
    }
}

impl FromStr for Range {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (range, total) = text
            .strip_prefix("bytes ")
            .and_then(|text| text.split_once('/'))
            .ok_or(())?;
        let (first, last) = range.split_once('-').ok_or(())?;
        let number = |text: &str| text.trim().parse().map_err(|_| ());
        let total = match total {
            "*" => None,
            total => Some(number(total)?),
        };
        Ok(Self {
            first: number(first)?,
            last: number(last)?,
            total,
        })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    text(headers, name)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_strictly() {
        let is_rest = |text: &str| {
            text.parse()
                .is_ok_and(|range: Range| range.is_rest_from(10))
        };
        assert!(is_rest("bytes 10-19/20") && is_rest("bytes 10-19/*"));
        for wrong in [
            "bytes 0-19/20",
            "bytes 11-19/20",
            "bytes 10-18/20",
            "bytes 10-20/20",
            "bytes 10-9/10",
            "bytes */20",
            "10-19/20",
            "bytes 10-19",
            "bytes 10-18446744073709551615/0",
            "bytes -10-19/20",
            "",
        ] {
            assert!(!is_rest(wrong), "{wrong}");
        }
    }
}
