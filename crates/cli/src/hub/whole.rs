//! Checks that a file is what it must be, as far as the file itself can tell: mirrors tell no hash, and a disk
//! may have been full when another tool wrote into the cache.

use super::digest::Digest;
use serde::Deserialize;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Largest file that is hashed before every use: the larger ones are weights, whose size tells whether they are whole.
const MAX_HASHED_BYTES: u64 = 32 << 20;

/// Largest header of a safetensors file, the limit of its reader.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Looked at for the end of a JSON document.
const TAIL_BYTES: u64 = 4096;

/// What is wrong with a file of the cache. Where it is a link to a file that is named by its hash, as other tools of
/// Hugging Face make them, the hash is compared.
pub fn damage_in_cache(path: &Path) -> Option<String> {
    let target = std::fs::read_link(path).ok();
    let name = target
        .as_deref()
        .and_then(Path::file_name)
        .and_then(|name| name.to_str());
    let digest = name.and_then(Digest::of_etag);
    damage(path).or_else(|| damage_by_digest(path, &digest?))
}

/// What tells that a small file is not that of `digest`.
pub fn damage_by_digest(path: &Path, digest: &Digest) -> Option<String> {
    let attempt = || -> io::Result<Option<String>> {
        if path.metadata()?.len() > MAX_HASHED_BYTES {
            return Ok(None);
        }
        let got = digest.mismatch(path)?;
        Ok(got.map(|got| format!("expected {digest}, got {got}")))
    };
    attempt().unwrap_or_else(|error| Some(error.to_string()))
}

/// What tells that a file is cut or something else than its name says.
pub fn damage(path: &Path) -> Option<String> {
    damage_of(path, &path.to_string_lossy())
}

/// [`damage`] of a file that will have another name.
pub fn damage_of(path: &Path, name: &str) -> Option<String> {
    let attempt = match name {
        name if name.ends_with(".safetensors") => damage_of_tensors(path),
        name if name.ends_with(".json") => damage_of_json(path),
        _ => Ok(None),
    };
    attempt.unwrap_or_else(|error| Some(error.to_string()))
}

/// An entry of a safetensors header; the metadata have no offsets.
#[derive(Deserialize)]
struct Entry {
    data_offsets: Option<(u64, u64)>,
}

fn damage_of_tensors(path: &Path) -> io::Result<Option<String>> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut length = [0; 8];
    if file.read_exact(&mut length).is_err() {
        return Ok(Some(format!("{size} bytes are no safetensors file")));
    }
    let header_bytes = u64::from_le_bytes(length);
    if header_bytes > MAX_HEADER_BYTES || 8 + header_bytes > size {
        return Ok(Some("not a safetensors file, or cut in its header".into()));
    }
    let mut header = vec![0; header_bytes as usize];
    file.read_exact(&mut header)?;
    let entries: HashMap<String, Entry> = match serde_json::from_slice(&header) {
        Ok(entries) => entries,
        Err(error) => return Ok(Some(format!("header of the safetensors file: {error}"))),
    };
    let ends = entries
        .values()
        .filter_map(|entry| Some(entry.data_offsets?.1));
    let expected = ends.max().unwrap_or(0).saturating_add(8 + header_bytes);
    Ok((expected != size).then(|| format!("expected {expected} bytes by its header, got {size}")))
}

/// A JSON object that was cut has no closing brace at its end, or lies in one.
fn damage_of_json(path: &Path) -> io::Result<Option<String>> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(TAIL_BYTES)))?;
    let mut tail = vec![];
    file.take(TAIL_BYTES).read_to_end(&mut tail)?;
    let is_whole = matches!(tail.trim_ascii_end().last(), Some(b'}' | b']'));
    Ok((!is_whole).then(|| format!("its {size} bytes end within a JSON document")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_files_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let damage = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            damage(&path)
        };
        let header = br#"{"__metadata__":{"format":"pt"},"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}"#;
        let tensors = [
            &(header.len() as u64).to_le_bytes(),
            header.as_slice(),
            &[1, 2, 3],
        ]
        .concat();
        assert_eq!(damage("a.safetensors", &tensors), None);
        assert_eq!(damage("a.json", b"{\"a\": {}}\n"), None);
        for n in 0..tensors.len() {
            assert!(damage("a.safetensors", &tensors[..n]).is_some(), "{n}");
        }
        let longer = [tensors.as_slice(), &[4]].concat();
        let said = damage("a.safetensors", &longer).unwrap();
        assert!(said.contains("expected"), "{said}");
        assert!(damage("b.safetensors", &[0xff; 20]).is_some());
        assert!(damage("b.safetensors", b"<html>not found</html>").is_some());
        for cut in ["", " \n", "{\"a\": ", "<html>"] {
            assert!(damage("b.json", cut.as_bytes()).is_some(), "{cut}");
        }
    }
}
