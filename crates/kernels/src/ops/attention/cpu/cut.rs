//! Parts of results that tasks own.

use std::ops::Range;

/// Rows of `width` that `ranges` name, which ascend and do not overlap.
pub(super) fn cut<T>(
    mut data: &mut [T],
    width: usize,
    ranges: impl Iterator<Item = Range<usize>>,
) -> Vec<&mut [T]> {
    let mut done = 0;
    let part = |range: Range<usize>| {
        let (_, rest) = std::mem::take(&mut data).split_at_mut((range.start - done) * width);
        let (part, rest) = rest.split_at_mut(range.len() * width);
        (data, done) = (rest, range.end);
        part
    };
    ranges.map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_between_ranges_belong_to_none() {
        let mut rows = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
        let parts = cut(&mut rows, 2, [0..1, 2..2, 2..4].into_iter());
        assert_eq!(parts, [&[0, 1][..], &[], &[4, 5, 6, 7]]);
    }
}
