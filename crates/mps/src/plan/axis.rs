//! Dimensions that all operands of a plan walk in step.

use super::View;

/// Places of the operands in the strides of an [`Axis`].
pub(crate) const LEFT: usize = 0;
pub(crate) const RIGHT: usize = 1;
pub(crate) const RESULT: usize = 2;
pub(crate) const ADDEND: usize = 3;

/// A dimension: its length, and how far each operand steps along it in elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Axis {
    pub len: usize,
    pub strides: [usize; 4],
}

impl Axis {
    /// This axis and the next finer one as a single axis, if every operand allows it.
    pub fn merge(&self, inner: &Self) -> Option<Self> {
        let mut pairs = self.strides.iter().zip(inner.strides);
        let seamless = pairs.all(|(&outer, stride)| outer == inner.len * stride);
        seamless.then_some(Self {
            len: self.len * inner.len,
            strides: inner.strides,
        })
    }
}

/// All but the last `matrix_rank` dimensions, slowest first, as few axes as possible. The views
/// agree in these dimensions.
pub(crate) fn of(views: [&View; 4], matrix_rank: usize) -> Vec<Axis> {
    let mut axes = vec![];
    for dim in 0..views[0].rank() - matrix_rank {
        let len = views[0].dims()[dim];
        let strides = views.map(|view| view.strides()[dim]);
        push(&mut axes, Axis { len, strides });
    }
    axes
}

/// Adds an axis that is finer than all others, to the last of them if every operand allows it.
pub(crate) fn push(axes: &mut Vec<Axis>, axis: Axis) {
    match axes.last().and_then(|outer| outer.merge(&axis)) {
        _ if axis.len == 1 => {}
        Some(merged) => {
            axes.pop();
            axes.push(merged);
        }
        None => axes.push(axis),
    }
}

/// Number of matrices that the axes count.
pub(crate) fn count(axes: &[Axis]) -> usize {
    axes.iter().map(|axis| axis.len).product()
}

/// The value of each axis, or the one of a batch without any: kernels of candle want at least one.
pub(crate) fn values<T>(axes: &[Axis], none: T, value: impl Fn(&Axis) -> T) -> Vec<T> {
    match axes {
        [] => vec![none],
        axes => axes.iter().map(value).collect(),
    }
}

/// Element offsets of every operand for every index into `axes`, the last axis fastest.
pub(crate) fn offsets(axes: &[Axis]) -> impl Iterator<Item = [usize; 4]> {
    (0..count(axes)).map(move |mut flat| {
        let mut offsets = [0; 4];
        for axis in axes.iter().rev() {
            let index = flat % axis.len;
            flat /= axis.len;
            (0..4).for_each(|i| offsets[i] += index * axis.strides[i]);
        }
        offsets
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::DType;

    fn view(dims: &[usize], strides: &[usize]) -> View {
        View::new(DType::F32, 0, dims, strides, 1 << 20).expect("in bounds")
    }

    fn axis(len: usize, [a, b]: [usize; 2]) -> Axis {
        let strides = [a, a, a, b];
        Axis { len, strides }
    }

    #[test]
    fn contiguous_dimensions_become_one_axis() {
        let a = view(&[2, 3, 4, 5], &[60, 20, 5, 1]);
        assert_eq!(of([&a; 4], 2), [axis(6, [20, 20])]);
        assert_eq!(of([&a; 4], 1), [axis(24, [5, 5])]);
    }

    #[test]
    fn a_seam_in_any_operand_keeps_axes_apart() {
        let a = view(&[2, 3, 4, 5], &[60, 20, 5, 1]);
        let b = view(&[2, 3, 4, 5], &[0, 20, 5, 1]);
        let expected = [axis(2, [60, 0]), axis(3, [20, 20])];
        assert_eq!(of([&a, &a, &a, &b], 2), expected);
    }

    #[test]
    fn single_elements_are_no_axis() {
        let a = view(&[2, 1, 3, 4, 5], &[60, 7, 20, 5, 1]);
        assert_eq!(of([&a; 4], 2), [axis(6, [20, 20])]);
        assert_eq!(of([&view(&[1, 1, 4, 5], &[0, 0, 5, 1]); 4], 2), []);
    }

    #[test]
    fn offsets_run_through_the_last_axis_first() {
        let axes = [axis(2, [100, 0]), axis(3, [10, 1])];
        let pairs = [[0, 0], [10, 1], [20, 2], [100, 0], [110, 1], [120, 2]];
        assert!(offsets(&axes).eq(pairs.map(|[a, b]| [a, a, a, b])));
        assert!(offsets(&[]).eq([[0; 4]]));
    }
}
