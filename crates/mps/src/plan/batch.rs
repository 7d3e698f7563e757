//! The dimensions in front of the matrices, which all operands walk in step.

use super::View;

/// A dimension that `N` operands share: its length, and how far each operand steps in elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Axis<const N: usize> {
    pub len: usize,
    pub strides: [usize; N],
}

impl<const N: usize> Axis<N> {
    /// This axis and the next finer one as a single axis, if every operand allows it.
    pub(crate) fn merge(&self, inner: &Self) -> Option<Self> {
        let seamless = (0..N).all(|i| self.strides[i] == inner.len * inner.strides[i]);
        seamless.then_some(Self {
            len: self.len * inner.len,
            strides: inner.strides,
        })
    }
}

/// All but the last `matrix_rank` dimensions, slowest first, as few axes as possible. The views
/// agree in these dimensions.
pub(crate) fn axes<const N: usize>(views: [&View; N], matrix_rank: usize) -> Vec<Axis<N>> {
    let mut axes: Vec<Axis<N>> = Vec::new();
    for dim in 0..views[0].rank() - matrix_rank {
        let len = views[0].dims()[dim];
        let strides = views.map(|view| view.strides()[dim]);
        push(&mut axes, Axis { len, strides });
    }
    axes
}

/// Adds an axis that is finer than all others, to the last of them if every operand allows it.
pub(crate) fn push<const N: usize>(axes: &mut Vec<Axis<N>>, axis: Axis<N>) {
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
pub(crate) fn count<const N: usize>(axes: &[Axis<N>]) -> usize {
    axes.iter().map(|axis| axis.len).product()
}

/// Takes out the longest axis that `fits`; of equals, the finest.
pub(crate) fn take_longest<const N: usize>(
    axes: &mut Vec<Axis<N>>,
    fits: impl Fn(&Axis<N>) -> bool,
) -> Option<Axis<N>> {
    let fitting = axes.iter().enumerate().filter(|(_, axis)| fits(axis));
    let index = fitting.max_by_key(|(_, axis)| axis.len)?.0;
    Some(axes.remove(index))
}

/// Element offsets of every operand for every index into `axes`, the last axis fastest.
pub(crate) fn offsets<const N: usize>(axes: &[Axis<N>]) -> impl Iterator<Item = [usize; N]> {
    (0..count(axes)).map(move |mut flat| {
        let mut offsets = [0; N];
        for axis in axes.iter().rev() {
            let index = flat % axis.len;
            flat /= axis.len;
            (0..N).for_each(|i| offsets[i] += index * axis.strides[i]);
        }
        offsets
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::DataType;

    fn view(dims: &[usize], strides: &[usize]) -> View {
        View::new(DataType::Float32, 0, dims, strides, 1 << 20).expect("in bounds")
    }

    #[test]
    fn contiguous_dimensions_become_one_axis() {
        let a = view(&[2, 3, 4, 5], &[60, 20, 5, 1]);
        assert_eq!(
            axes([&a, &a], 2),
            [Axis {
                len: 6,
                strides: [20, 20]
            }]
        );
        assert_eq!(
            axes([&a, &a], 1),
            [Axis {
                len: 24,
                strides: [5, 5]
            }]
        );
    }

    #[test]
    fn a_seam_in_any_operand_keeps_axes_apart() {
        let a = view(&[2, 3, 4, 5], &[60, 20, 5, 1]);
        let b = view(&[2, 3, 4, 5], &[0, 20, 5, 1]);
        let expected = [
            Axis {
                len: 2,
                strides: [60, 0],
            },
            Axis {
                len: 3,
                strides: [20, 20],
            },
        ];
        assert_eq!(axes([&a, &b], 2), expected);
    }

    #[test]
    fn single_elements_are_no_axis() {
        let a = view(&[2, 1, 3, 4, 5], &[60, 7, 20, 5, 1]);
        assert_eq!(
            axes([&a], 2),
            [Axis {
                len: 6,
                strides: [20]
            }]
        );
        assert_eq!(axes([&view(&[1, 1, 4, 5], &[0, 0, 5, 1])], 2), []);
    }

    #[test]
    fn offsets_run_through_the_last_axis_first() {
        let axes = [
            Axis {
                len: 2,
                strides: [100, 0],
            },
            Axis {
                len: 3,
                strides: [10, 1],
            },
        ];
        let expected = [[0, 0], [10, 1], [20, 2], [100, 0], [110, 1], [120, 2]];
        assert!(offsets(&axes).eq(expected));
        assert!(offsets::<2>(&[]).eq([[0, 0]]));
    }

    #[test]
    fn the_longest_axis_that_fits_is_taken() {
        let [a, b, c] = [(2, 8), (5, 3), (4, 8)].map(|(len, s)| Axis { len, strides: [s] });
        let mut axes = vec![a, b, c];
        assert_eq!(
            take_longest(&mut axes, |axis| axis.strides[0] == 8),
            Some(c)
        );
        assert_eq!(axes, [a, b]);
        assert_eq!(take_longest(&mut axes, |axis| axis.len > 5), None);
    }
}
