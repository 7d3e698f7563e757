//! The buffers of a plan's operands.

use candle_metal_kernels::metal::Buffer;

use super::Error;
use crate::plan::Slot;

/// One buffer for every operand that a plan names, but [`Slot::Zero`], which is made where it is
/// needed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Buffers<'a> {
    /// [`Slot::Left`].
    pub left: Option<&'a Buffer>,
    /// [`Slot::Right`].
    pub right: Option<&'a Buffer>,
    /// [`Slot::Source`].
    pub source: Option<&'a Buffer>,
    /// [`Slot::Addend`].
    pub addend: Option<&'a Buffer>,
    /// [`Slot::Result`].
    pub result: Option<&'a Buffer>,
}

impl<'a> Buffers<'a> {
    /// Buffers of a product without an addend.
    pub fn product(left: &'a Buffer, right: &'a Buffer, result: &'a Buffer) -> Self {
        Self {
            left: Some(left),
            right: Some(right),
            result: Some(result),
            ..Self::default()
        }
    }

    /// Buffers of an operation on rows.
    pub fn rows(source: &'a Buffer, result: &'a Buffer) -> Self {
        Self {
            source: Some(source),
            result: Some(result),
            ..Self::default()
        }
    }

    pub(super) fn get(&self, slot: Slot) -> Result<&'a Buffer, Error> {
        let buffer = match slot {
            Slot::Left => self.left,
            Slot::Right => self.right,
            Slot::Source => self.source,
            Slot::Addend => self.addend,
            Slot::Zero => None,
            Slot::Result => self.result,
        };
        buffer.ok_or(Error::Missing { slot })
    }
}
