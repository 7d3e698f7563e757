//! Frames of Zstandard (RFC 8878), one after the other.

use std::io::{self, BufRead, Read, copy, sink};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// Reader of what frames hold.
pub(in super::super) struct Frames<R> {
    packed: R,
    decoder: FrameDecoder,
    is_begun: bool,
}

impl<R: BufRead> Frames<R> {
    /// Reader of the frames of `packed`, from its place on.
    pub(in super::super) fn new(packed: R) -> Self {
        Self {
            packed,
            decoder: FrameDecoder::new(),
            is_begun: false,
        }
    }

    /// Reads the header of the next frame that holds something; says whether there is one.
    fn begin(&mut self) -> io::Result<bool> {
        use FrameDecoderError::ReadFrameHeaderError as Header;
        while !self.packed.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.packed) {
                Ok(()) => return Ok(true),
                Err(Header(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    self.skip(length.into())?;
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(false)
    }

    fn skip(&mut self, n_bytes: u64) -> io::Result<()> {
        match copy(&mut self.packed.by_ref().take(n_bytes), &mut sink())? {
            n if n == n_bytes => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Bytes of the frame that was begun; 0 at its end.
    fn go_on(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
            let blocks = BlockDecodingStrategy::UptoBlocks(1);
            let decoded = self.decoder.decode_blocks(&mut self.packed, blocks);
            decoded.map_err(io::Error::other)?;
        }
        self.decoder.read(buffer)
    }

    /// Compares the sum of a frame that was read with what the frame says.
    fn end(&self) -> io::Result<()> {
        let told = self.decoder.get_checksum_from_data();
        match told.is_none() || told == self.decoder.get_calculated_checksum() {
            true => Ok(()),
            false => Err(io::Error::other("the checksum of a frame is another one")),
        }
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if self.is_begun {
                match self.go_on(buffer)? {
                    0 => self.end()?,
                    n => return Ok(n),
                }
            }
            self.is_begun = self.begin()?;
            if !self.is_begun {
                return Ok(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKED: &[u8] = include_bytes!("../../../../tests/golden/rows/frames.jsonl.zst");
    const ROWS: &[u8] = include_bytes!("../../../../tests/golden/rows/gsm8k.jsonl");

    fn read(packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut bytes = vec![];
        Frames::new(packed).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn frames_are_read_behind_each_other() {
        assert_eq!(read(PACKED).unwrap(), ROWS);
        assert_eq!(read(b"").unwrap(), b"");
    }

    /// Bytes of a frame that is skipped.
    const SKIPPED: usize = 13;

    /// Place of the second frame that is skipped, where the first one with rows ends.
    fn middle() -> usize {
        let mut places = PACKED.windows(SKIPPED);
        places
            .rposition(|bytes| bytes == &PACKED[..SKIPPED])
            .unwrap()
    }

    #[test]
    fn cut_frames_are_told() {
        let whole = (1..PACKED.len()).filter(|n| read(&PACKED[..*n]).is_ok());
        let ends: Vec<usize> = whole.collect();
        assert_eq!(ends, [SKIPPED, middle(), middle() + SKIPPED]);
    }

    /// Some bits of a frame change nothing.
    #[test]
    fn damaged_frames_are_told_or_hold_the_same() {
        let mut n_told = 0;
        for i in (SKIPPED..middle()).chain(middle() + SKIPPED..PACKED.len()) {
            let mut damaged = PACKED.to_vec();
            damaged[i] ^= 4;
            match read(&damaged) {
                Ok(rows) => assert_eq!(rows, ROWS, "byte {i}"),
                Err(_) => n_told += 1,
            }
        }
        assert!(n_told > 300, "{n_told}");
    }
}
