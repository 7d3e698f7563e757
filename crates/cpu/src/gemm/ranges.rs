//! Parts of a range of rows, columns or inner steps.

use std::ops::Range;

/// Consecutive parts of `size`, the last one smaller.
pub(super) fn blocks(
    range: &Range<usize>,
    size: usize,
) -> impl Iterator<Item = Range<usize>> + use<> {
    let end = range.end;
    let starts = range.clone().step_by(size);
    starts.map(move |start| start..end.min(start + size))
}

/// Ranges of as few parts of at most `size` as there can be, about equally large.
pub(super) fn even_parts(
    range: &Range<usize>,
    size: usize,
) -> impl Iterator<Item = Range<usize>> + use<> {
    let (start, len) = (range.start, range.len());
    let count = len.div_ceil(size);
    (0..count).map(move |i| start + len * i / count..start + len * (i + 1) / count)
}
