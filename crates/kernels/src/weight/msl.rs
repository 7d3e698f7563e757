//! Packed matrices as kernels of MSL read them. It is data, without a GPU: what a format says of itself on any machine.

use candle_core::{Result, Tensor};

/// Bytes of the longest word that `unpack` may read: a part of bytes begins at a multiple of them.
const WORD: usize = 16;

/// A packed matrix and the MSL that unpacks it.
#[derive(Clone, Copy, Debug)]
pub struct Msl<'a> {
    /// The format, by a name that no other has.
    pub name: &'static str,
    /// Text that defines `unpack` of `metal/matrix.metal`.
    pub text: &'static str,
    /// Parts `PART_0` to `PART_2` there; one that the format does not have is the first once more.
    pub parts: [&'a Tensor; 3],
    /// A whole number that is compiled in, by its name.
    pub number: Option<(&'static str, u32)>,
    /// Whole numbers that `unpack` is told.
    pub options: [u32; 4],
}

impl<'a> Msl<'a> {
    pub(super) fn new(name: &'static str, text: &'static str, parts: [&'a Tensor; 3]) -> Self {
        Self {
            name,
            text,
            parts,
            number: None,
            options: [0; 4],
        }
    }
}

/// Bytes without gaps, from a place on where kernels may read words of them.
pub(super) fn in_words(bytes: &Tensor) -> Result<Tensor> {
    let bytes = bytes.contiguous()?;
    let may_begin = bytes.layout().start_offset().is_multiple_of(WORD);
    match may_begin || bytes.device().is_cpu() {
        true => Ok(bytes),
        false => bytes.force_contiguous(),
    }
}

#[cfg(test)]
mod tests {
    use crate::Weight;
    use crate::weight::packing::{Packing, weight_of};
    use candle_core::{DType, Device, Tensor};
    use std::collections::HashSet;

    /// Libraries are kept by the names of their sources.
    #[test]
    fn every_format_has_a_name_and_a_function() {
        let mut names = HashSet::new();
        for packing in Packing::all() {
            let matrix = Tensor::ones((2, packing.row()), DType::F32, &Device::Cpu).unwrap();
            let weight = weight_of(&matrix, Some(packing)).unwrap();
            let Weight::Packed(packed) = &weight else {
                panic!("{packing} is not packed");
            };
            let msl = packed.msl().unwrap();
            assert!(names.insert(msl.name), "{packing}: {}", msl.name);
            assert!(
                msl.text
                    .contains("inline void unpack(Matrix m, uint row, uint column, uint")
            );
        }
        assert_eq!(names.len(), 19);
    }
}
