//! Hashes of files, as the hub tells them: SHA-256 of a file of Git LFS, git's SHA-1 of any other.

use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Read at once.
const CHUNK_BYTES: usize = 1 << 18;

/// A hash, in small hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Digest {
    /// SHA-256 of the bytes.
    Sha256(String),
    /// SHA-1 of git's header and the bytes; of the bytes alone, as some mirrors tell it.
    Sha1(String),
}

impl Digest {
    /// The hash that an entity tag is, or a name of a file in Hugging Face's cache. `None` for one that is no hash.
    pub fn of_etag(etag: &str) -> Option<Self> {
        let etag = etag.trim();
        let digits = etag
            .strip_prefix("W/")
            .unwrap_or(etag)
            .trim_matches('"')
            .to_lowercase();
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        match digits.len() {
            64 if is_hex => Some(Self::Sha256(digits)),
            40 if is_hex => Some(Self::Sha1(digits)),
            _ => None,
        }
    }

    /// The hash of a file where it is another than this one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn mismatch(&self, path: &Path) -> io::Result<Option<Self>> {
        let file = File::open(path)?;
        match self {
            Self::Sha256(expected) => {
                let [got] = hashes(file, [Sha256::new()])?;
                Ok((got != *expected).then_some(Self::Sha256(got)))
            }
            Self::Sha1(expected) => {
                let header = format!("blob {}\0", file.metadata()?.len());
                let [git, plain] = hashes(file, [Sha1::new_with_prefix(header), Sha1::new()])?;
                let is_either = git == *expected || plain == *expected;
                Ok((!is_either).then_some(Self::Sha1(git)))
            }
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digits) => write!(f, "sha256 {digits}"),
            Self::Sha1(digits) => write!(f, "git's sha1 {digits}"),
        }
    }
}

/// Reads a file once for all of `hashers`.
fn hashes<H: sha2::Digest, const N: usize>(
    mut file: File,
    mut hashers: [H; N],
) -> io::Result<[String; N]> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let n = file.read(&mut chunk)?;
        if n == 0 {
            return Ok(hashers.map(|hasher| hex(&hasher.finalize())));
        }
        hashers
            .iter_mut()
            .for_each(|hasher| hasher.update(&chunk[..n]));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Digests of `hello\n`: `sha256sum`, `git hash-object` and `sha1sum`.
    const SHA256: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
    const GIT: &str = "ce013625030ba8dba906f756967f9e9ca394464a";
    const SHA1: &str = "f572d396fae9206628714fb2ce00f72e94f2258f";

    #[test]
    fn files_are_compared_with_etags() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "hello\n").unwrap();
        for etag in [
            SHA256,
            GIT,
            SHA1,
            &format!("\"{SHA256}\""),
            &format!("W/\"{}\"", GIT.to_uppercase()),
        ] {
            let digest = Digest::of_etag(etag).unwrap();
            assert_eq!(digest.mismatch(&path).unwrap(), None, "{etag}");
        }
        std::fs::write(&path, "hallo\n").unwrap();
        let got = Digest::of_etag(SHA256).unwrap().mismatch(&path).unwrap();
        // sha256sum of hallo and a line break.
        assert_eq!(
            got.unwrap().to_string(),
            "sha256 622cb3371c1a08096eaac564fb59acccda1fcdbe13a9dd10b486e6463c8c2525"
        );
        for none in [
            "",
            "\"abc\"",
            "\"5f3759df-1000\"",
            &SHA256[1..],
            &format!("{GIT}0"),
        ] {
            assert_eq!(Digest::of_etag(none), None, "{none}");
        }
    }
}
