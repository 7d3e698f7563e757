//! End of a value, which brackets and quotes alone tell, piece by piece.

/// State between two pieces of a value's text.
#[derive(Debug, Default)]
pub(super) struct End {
    /// Brackets that are open.
    depth: usize,
    is_in_string: bool,
    /// Whether the byte before was a backslash that stands for nothing but the next byte.
    is_escaped: bool,
}

impl End {
    /// Length of the part of `bytes` that belongs to the value, if it ends there.
    pub(super) fn of(&mut self, bytes: &[u8]) -> Option<usize> {
        bytes.iter().enumerate().find_map(|(at, byte)| {
            let length = match self.is_in_string {
                true => self.in_string(*byte),
                false => self.outside(*byte),
            }?;
            Some(at + length)
        })
    }

    /// How many more bytes belong to the value where it ends at or before this one: with it one, else none.
    fn in_string(&mut self, byte: u8) -> Option<usize> {
        let is_plain = std::mem::take(&mut self.is_escaped);
        match byte {
            _ if is_plain => {}
            b'\\' => self.is_escaped = true,
            b'"' => self.is_in_string = false,
            _ => {}
        }
        (!self.is_in_string && self.depth == 0).then_some(1)
    }

    fn outside(&mut self, byte: u8) -> Option<usize> {
        match byte {
            b',' | b':' | b']' | b'}' if self.depth == 0 => return Some(0),
            byte if is_blank(byte) && self.depth == 0 => return Some(0),
            b'"' => self.is_in_string = true,
            b'[' | b'{' => self.depth += 1,
            b']' | b'}' => {
                self.depth -= 1;
                return (self.depth == 0).then_some(1);
            }
            _ => {}
        }
        None
    }
}

/// Whether a byte is a blank between values.
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
