use std::fs::File;
use std::io::{self, Read};
use tempfile::NamedTempFile;

/// Most bytes that are read of one output.
const MOST_BYTES: u64 = 1 << 20;

/// One output of a child. It goes through a file: a pipe that nobody reads stops whoever writes, and one that somebody
/// reads ends only when all that have it are gone.
#[derive(Debug)]
pub struct Output {
    file: NamedTempFile,
    reader: io::Take<File>,
    bytes: Vec<u8>,
    /// How many of the bytes were told as lines.
    n_told: usize,
}

impl Output {
    pub fn new() -> io::Result<Self> {
        let file = NamedTempFile::new()?;
        Ok(Self {
            reader: file.reopen()?.take(MOST_BYTES),
            file,
            bytes: vec![],
            n_told: 0,
        })
    }

    /// The end that the child is given.
    pub fn writer(&self) -> io::Result<File> {
        self.file.reopen()
    }

    /// Tells the whole lines that came since the last call.
    pub fn tell_lines(&mut self, tell: &mut dyn FnMut(&str)) -> io::Result<()> {
        self.reader.read_to_end(&mut self.bytes)?;
        let news = &self.bytes[self.n_told..];
        let Some(end) = news.iter().rposition(|&byte| byte == b'\n') else {
            return Ok(());
        };
        String::from_utf8_lossy(&news[..end]).lines().for_each(tell);
        self.n_told += end + 1;
        Ok(())
    }

    /// Everything that came.
    pub fn text(mut self) -> io::Result<String> {
        self.reader.read_to_end(&mut self.bytes)?;
        Ok(String::from_utf8_lossy(&self.bytes).into_owned())
    }
}
