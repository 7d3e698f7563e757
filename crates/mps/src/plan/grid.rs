//! Planes of several operands, repeated along shared axes, and their way into `MPSMatrix` arrays.

use std::array::from_fn;

use super::batch::{self, Axis};
use super::plane::Plane;
use super::{Matrix, MatrixDescriptor, Origin, Reject, View, limits};

/// One plane per operand, and the axes along which all of them repeat.
#[derive(Debug)]
pub(crate) struct Grid<const N: usize> {
    pub planes: [Plane; N],
    pub axes: Vec<Axis<N>>,
    /// Offset of each operand's first plane.
    pub offsets_bytes: [usize; N],
}

/// The operands of one call.
#[derive(Debug)]
pub(crate) struct Cell<const N: usize> {
    pub matrices: [Matrix; N],
    pub origins: [Origin; N],
    pub batch_size: usize,
}

impl<const N: usize> Grid<N> {
    /// The views as `planes`, each the last `matrix_rank` dimensions of its view.
    pub fn new(views: [&View; N], planes: [Plane; N], matrix_rank: usize) -> Self {
        let offsets_bytes = views.map(View::offset_bytes);
        Self {
            planes,
            axes: batch::axes(views, matrix_rank),
            offsets_bytes,
        }
    }

    /// One cell for each array of matrices: the longest axis that has the regular strides of an
    /// array becomes one, and the other axes are walked.
    pub fn cells(mut self) -> Result<Vec<Cell<N>>, Reject> {
        limits::check_batch(batch::count(&self.axes))?;
        let planes = self.planes;
        let stacked = batch::take_longest(&mut self.axes, |axis| stack(&planes, axis).is_some());
        let stacked = stacked.and_then(|axis| Some((axis.len, stack(&planes, &axis)?)));
        let (batch_size, descriptors) =
            stacked.unwrap_or_else(|| (1, planes.map(|plane| plane.single())));
        self.check_elements(&descriptors)?;
        let offsets = batch::offsets(&self.axes);
        offsets
            .map(|offset| self.cell(offset, &descriptors, batch_size))
            .collect()
    }

    fn check_elements(&self, descriptors: &[MatrixDescriptor; N]) -> Result<(), Reject> {
        self.planes
            .iter()
            .zip(descriptors)
            .try_for_each(|(plane, descriptor)| {
                let elements = descriptor.required_bytes() / plane.dtype.size_in_bytes();
                limits::check_elements(plane.slot, elements)
            })
    }

    fn cell(
        &self,
        offsets: [usize; N],
        descriptors: &[MatrixDescriptor; N],
        batch_size: usize,
    ) -> Result<Cell<N>, Reject> {
        let place = |(i, plane): (usize, &Plane)| {
            let offset_bytes = self.offsets_bytes[i] + plane.bytes(offsets[i]);
            plane.place(offset_bytes, descriptors[i])
        };
        let placed = self
            .planes
            .iter()
            .enumerate()
            .map(place)
            .collect::<Result<Vec<_>, _>>()?;
        let (matrices, origins) = (from_fn(|i| placed[i].0), from_fn(|i| placed[i].1));
        Ok(Cell {
            matrices,
            origins,
            batch_size,
        })
    }
}

/// The planes along `axis` as arrays of matrices, if every operand allows it.
fn stack<const N: usize>(planes: &[Plane; N], axis: &Axis<N>) -> Option<[MatrixDescriptor; N]> {
    let stacked = planes
        .iter()
        .zip(axis.strides)
        .map(|(plane, stride)| plane.stack(axis.len, stride));
    let stacked = stacked.collect::<Option<Vec<_>>>()?;
    Some(from_fn(|i| stacked[i]))
}
