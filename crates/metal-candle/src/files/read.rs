use super::Error;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Largest file that is read as one text: ten times the largest tokenizer.
const MAX_TEXT_BYTES: u64 = 512 << 20;

/// Reads a text file.
///
/// # Errors
/// When it does not exist, is no file, is larger than any such file, or is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, Error> {
    let read = || {
        let file = open_file(path)?;
        let mut text = String::new();
        let bytes = file.take(MAX_TEXT_BYTES + 1).read_to_string(&mut text)?;
        match bytes as u64 > MAX_TEXT_BYTES {
            true => Err(wrong(format!("it has more than {MAX_TEXT_BYTES} bytes"))),
            false => Ok(text),
        }
    };
    read().map_err(Error::at("read", path))
}

/// Reads a file.
///
/// # Errors
/// When it does not exist or is no file.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, Error> {
    let read = || {
        let mut bytes = vec![];
        open_file(path)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(Error::at("read", path))
}

/// Opens a file to be read.
///
/// # Errors
/// When it does not exist or is no file: a device may never end, and to open a named pipe waits for somebody who writes.
/// A pipe that a shell has opened, `/dev/fd/N`, is taken.
pub fn open(path: &Path) -> Result<File, Error> {
    open_file(path).map_err(Error::at("read", path))
}

fn open_file(path: &Path) -> std::io::Result<File> {
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    match kind.is_file() || is_open_pipe(path, kind) {
        true => File::open(path),
        false => Err(wrong(
            "it is not a file but a device, a pipe or a socket".into(),
        )),
    }
}

fn wrong(reason: String) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidInput, reason)
}

#[cfg(unix)]
fn is_open_pipe(path: &Path, kind: std::fs::FileType) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let is_open = ["/dev/fd", "/dev/stdin", "/proc/self/fd"];
    kind.is_fifo() && is_open.iter().any(|folder| path.starts_with(folder))
}

#[cfg(not(unix))]
fn is_open_pipe(_: &Path, _: std::fs::FileType) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        for device in ["/dev/null", "/dev/zero"] {
            let error = read_text(Path::new(device)).unwrap_err().to_string();
            assert!(
                error.contains(device) && error.contains("not a file but a device"),
                "{error}"
            );
            assert!(read_bytes(Path::new(device)).is_err() && open(Path::new(device)).is_err());
        }
        let folder = tempfile::tempdir().unwrap();
        assert!(
            read_text(folder.path())
                .unwrap_err()
                .to_string()
                .contains("directory")
        );
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(
            open(&socket)
                .unwrap_err()
                .to_string()
                .contains("not a file but")
        );
        let large = folder.path().join("large");
        File::create(&large)
            .unwrap()
            .set_len(MAX_TEXT_BYTES + 10)
            .unwrap();
        assert!(
            read_text(&large)
                .unwrap_err()
                .to_string()
                .contains("more than")
        );
    }
}
