//! A launch for every few parameters, a thread for every four numbers.

use super::Update;
use super::factors::Factors;
use crate::metal::{FOUR, Launch, Source, device_of, on_metal};
use candle_core::{Layout, Result, Storage, Tensor};
use candle_metal_kernels::metal::Buffer;

const SOURCE: Source = Source {
    name: "adamw",
    text: include_str!("adamw.metal"),
};

/// Parameters of a launch at most, `MOST` of `adamw.metal`: a kernel has 31 buffers.
const MOST: usize = 7;

/// Updates all parameters, which have been checked: those of about one size together.
pub(super) fn step(factors: &Factors, updates: &[Update<'_>]) -> crate::Result<()> {
    let mut by_size: Vec<&Update<'_>> = updates.iter().collect();
    by_size.sort_by_key(|update| update.parameter.elem_count());
    for some in by_size.chunks(MOST) {
        update(factors, some)?;
    }
    Ok(())
}

fn update(factors: &Factors, updates: &[&Update<'_>]) -> Result<()> {
    let gradients = updates.iter().map(|update| update.gradient.contiguous());
    let gradients = gradients.collect::<Result<Vec<_>>>()?;
    let tensors = updates.iter().zip(&gradients).map(|(update, gradient)| {
        let [first, second] = [&update.moments.first, &update.moments.second];
        [update.parameter.as_tensor(), first, second, gradient]
    });
    let stored: Vec<_> = tensors
        .map(|tensors| tensors.map(Tensor::storage_and_layout))
        .collect();
    let places = stored.iter().map(|tensors| {
        let [p, m, v, g] = tensors.each_ref().map(|(t, layout)| place(t, layout));
        Ok([p?, m?, v?, g?])
    });
    let places = places.collect::<Result<Vec<_>>>()?;
    // What is missing is the first once more, of which nothing is touched.
    let place_of = |i: usize, which: usize| places.get(i).unwrap_or(&places[0])[which];
    let mut offsets = places.iter().flatten().map(|(_, offset)| offset);
    let kernel = match offsets.all(|offset| offset.is_multiple_of(FOUR * size_of::<f32>())) {
        true => "adamw_fours",
        false => "adamw",
    };
    let counts = counts(updates)?;
    let factors = factors.in_order();
    let mut launch = Launch::new(device_of(updates[0].gradient)?, &SOURCE, &[], kernel)?;
    for which in 0..3 {
        for i in 0..MOST {
            launch = launch.in_place(place_of(i, which));
        }
    }
    for i in 0..MOST {
        launch = launch.buffer(place_of(i, 3));
    }
    let longest = counts.into_iter().max().unwrap_or(0) as usize;
    let launch = launch.constants(&factors).constants(&counts);
    launch.over_elements(updates.len(), longest.div_ceil(FOUR))
}

/// Numbers of each parameter.
fn counts(updates: &[&Update<'_>]) -> Result<[u32; MOST]> {
    let mut counts = [0; MOST];
    for (count, update) in counts.iter_mut().zip(updates) {
        let elements = update.parameter.elem_count();
        *count = u32::try_from(elements).map_err(candle_core::Error::wrap)?;
    }
    Ok(counts)
}

/// The buffer of a contiguous tensor of float32, and where in it the tensor begins, in bytes.
fn place<'a>(storage: &'a Storage, layout: &Layout) -> Result<(&'a Buffer, usize)> {
    match layout.contiguous_offsets() {
        Some((start, _)) => Ok((on_metal(storage)?.buffer(), start * size_of::<f32>())),
        None => candle_core::bail!("adamw: what is changed must be contiguous float32"),
    }
}
