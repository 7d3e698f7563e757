use super::value::{Array, Value};
use std::io::{BufReader, Read};

/// Most bytes of metadata and descriptions of tensors: some ten times the largest that is known.
const LIMIT_BYTES: u64 = 256 << 20;

/// Place in the part of a file before its tensors. It knows how many bytes there can be, and allocates nothing that is
/// longer.
pub(super) struct Cursor<R> {
    reader: BufReader<R>,
    /// Bytes that were read.
    at: u64,
    /// Bytes that there can be.
    end: u64,
}

/// Result whose error says in words what is wrong.
pub(super) type Result<T> = std::result::Result<T, String>;

impl<R: Read> Cursor<R> {
    pub(super) fn new(reader: R, file_bytes: u64) -> Self {
        Self {
            reader: BufReader::new(reader),
            at: 0,
            end: file_bytes.min(LIMIT_BYTES),
        }
    }

    /// Bytes that were read.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Check that `count` things of at least `bytes` each can follow.
    pub(super) fn expect(&self, what: &str, count: u64, bytes: u64) -> Result<()> {
        let left = self.end - self.at;
        match count.checked_mul(bytes) {
            Some(needed) if needed <= left => Ok(()),
            _ => Err(format!(
                "{count} {what} at byte {}, of which {left} are left",
                self.at
            )),
        }
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.expect("bytes", N as u64, 1)?;
        let mut bytes = [0; N];
        let read = self.reader.read_exact(&mut bytes);
        read.map_err(|error| error.to_string())?;
        self.at += N as u64;
        Ok(bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    pub(super) fn text(&mut self) -> Result<String> {
        let start = self.at;
        let length = self.u64()?;
        self.expect("bytes of a text", length, 1)?;
        let mut bytes = vec![0; length as usize];
        let read = self.reader.read_exact(&mut bytes);
        read.map_err(|error| error.to_string())?;
        self.at += length;
        String::from_utf8(bytes).map_err(|_| format!("the text at byte {start} is not UTF-8"))
    }

    /// A value of the type `kind`.
    pub(super) fn value(&mut self, kind: u32) -> Result<Value> {
        Ok(match kind {
            0 => Value::Unsigned(self.bytes().map(u8::from_le_bytes)?.into()),
            1 => Value::Signed(self.bytes().map(i8::from_le_bytes)?.into()),
            2 => Value::Unsigned(self.bytes().map(u16::from_le_bytes)?.into()),
            3 => Value::Signed(self.bytes().map(i16::from_le_bytes)?.into()),
            4 => Value::Unsigned(self.u32()?.into()),
            5 => Value::Signed(self.bytes().map(i32::from_le_bytes)?.into()),
            6 => Value::Float(shortest(self.bytes().map(f32::from_le_bytes)?)),
            7 => Value::Flag(self.flag()?),
            8 => Value::Text(self.text()?),
            9 => Value::Array(self.array()?),
            10 => Value::Unsigned(self.u64()?),
            11 => Value::Signed(self.bytes().map(i64::from_le_bytes)?),
            12 => Value::Float(self.bytes().map(f64::from_le_bytes)?),
            other => {
                return Err(format!(
                    "there is no type {other} of values (byte {})",
                    self.at
                ));
            }
        })
    }

    fn array(&mut self) -> Result<Array> {
        let (kind, count) = (self.u32()?, self.u64()?);
        match kind {
            0 => self.whole(count, |bytes| u8::from_le_bytes(bytes).into()),
            1 => self.whole(count, |bytes| i8::from_le_bytes(bytes).into()),
            2 => self.whole(count, |bytes| u16::from_le_bytes(bytes).into()),
            3 => self.whole(count, |bytes| i16::from_le_bytes(bytes).into()),
            4 => self.whole(count, |bytes| u32::from_le_bytes(bytes).into()),
            5 => self.whole(count, |bytes| i32::from_le_bytes(bytes).into()),
            6 => self
                .many(count, 4, |cursor| cursor.bytes().map(f32::from_le_bytes))
                .map(Array::Floats),
            7 => self.many(count, 1, Self::flag).map(Array::Flags),
            8 => self.many(count, 8, Self::text).map(Array::Texts),
            10 => {
                let number = |cursor: &mut Self| {
                    let number = cursor.u64()?;
                    i64::try_from(number).map_err(|_| format!("a number of {number} in a list"))
                };
                self.many(count, 8, number).map(Array::Whole)
            }
            11 => self.whole(count, i64::from_le_bytes),
            12 => {
                let float =
                    |cursor: &mut Self| cursor.bytes().map(|b| f64::from_le_bytes(b) as f32);
                self.many(count, 8, float).map(Array::Floats)
            }
            other => Err(format!(
                "a list of values of type {other} (byte {})",
                self.at
            )),
        }
    }

    fn whole<const N: usize>(
        &mut self,
        count: u64,
        number: impl Fn([u8; N]) -> i64,
    ) -> Result<Array> {
        let numbers = self.many(count, N as u64, |cursor| cursor.bytes().map(&number));
        numbers.map(Array::Whole)
    }

    /// `count` values of at least `bytes` each.
    fn many<T>(
        &mut self,
        count: u64,
        bytes: u64,
        mut one: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.expect("values of a list", count, bytes)?;
        (0..count).map(|_| one(self)).collect()
    }

    fn flag(&mut self) -> Result<bool> {
        match self.bytes()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(format!("a flag of {other} (byte {})", self.at - 1)),
        }
    }
}

/// The number with the fewest digits that rounds to `number`: a file that means 1e-5 is not to be read as
/// 9.999999747378752e-6.
fn shortest(number: f32) -> f64 {
    number.to_string().parse().unwrap_or_else(|_| number.into())
}
