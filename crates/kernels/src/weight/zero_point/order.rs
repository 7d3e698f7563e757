use super::{NAME, Sizes};
use crate::Result;
use crate::weight::check;
use candle_core::Tensor;

/// Order of the columns of a matrix by their groups.
#[derive(Clone, Debug)]
pub(super) struct Order {
    /// The column at every place.
    pub(super) columns: Vec<u32>,
    /// The place of every column.
    pub(super) places: Vec<u32>,
}

impl Order {
    /// The order of the groups of columns; `None` where they have it already.
    pub(super) fn new(groups: &Tensor, sizes: Sizes) -> Result<Option<Self>> {
        let (k, group) = (sizes.dims.1, sizes.group);
        let groups = groups.flatten_all()?.to_vec1::<u32>()?;
        let mut counts = vec![0; k / group];
        for &index in &groups {
            match counts.get_mut(index as usize) {
                Some(count) => *count += 1,
                None => {
                    let expected = format!("below {}", k / group);
                    return Err(check::value(NAME, "g_idx", expected, index as i32));
                }
            }
        }
        if let Some((index, count)) = counts.iter().enumerate().find(|(_, n)| **n != group) {
            let expected = format!("{group} times each group");
            let got = format!("{count} times group {index}");
            return Err(check::value(NAME, "g_idx", expected, got));
        }
        if groups.is_sorted() {
            return Ok(None);
        }
        let mut columns: Vec<u32> = (0..k as u32).collect();
        columns.sort_by_key(|column| groups[*column as usize]);
        let mut places = vec![0; k];
        for (place, column) in (0..).zip(&columns) {
            places[*column as usize] = place;
        }
        Ok(Some(Self { columns, places }))
    }
}
