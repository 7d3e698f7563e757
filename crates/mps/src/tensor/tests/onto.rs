//! Products that are added to a result in its own memory.

use candle_core::{CpuStorage, DType, Layout, Shape, Storage, Tensor};

use super::matmul::{list, values};
use crate::tensor::Room;
use crate::tensor::matmul::Product;

fn stored(tensor: &Tensor) -> (CpuStorage, Layout) {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => (storage.clone(), layout.clone()),
        _ => panic!("on the CPU"),
    }
}

fn product(alpha: f64, beta: f64) -> Product {
    Product {
        transposed: [false, false],
        alpha,
        beta,
        engine: None,
    }
}

fn elements(storage: &CpuStorage, shape: &Shape) -> (Vec<f32>, usize) {
    let values = storage.as_slice::<f32>().unwrap();
    (values[..shape.elem_count()].to_vec(), values.len())
}

/// `x W + s h B`, where the result is followed by `room`; the elements of its storage too.
fn lora(rows: usize, room: Room) -> (Vec<f32>, usize) {
    let [x, w] = [[rows, 8], [8, 6]].map(|shape| values(&shape, DType::F32, 1));
    let [h, b] = [[rows, 2], [2, 6]].map(|shape| values(&shape, DType::F32, 3));
    let [x_at, w_at, h_at, b_at] = [&x, &w, &h, &b].map(stored);
    let [x_at, w_at, h_at, b_at] = [&x_at, &w_at, &h_at, &b_at].map(|(s, l)| (s, l));
    let first = product(1.0, 0.0).forward(x_at, w_at, None, room);
    let (y, shape) = first.unwrap();
    let y = product(0.5, 1.0).forward_onto(y, h_at, b_at).unwrap();
    let expected = (x.matmul(&w).unwrap() + (h.matmul(&b).unwrap() * 0.5).unwrap()).unwrap();
    let (got, len) = elements(&y, &shape);
    assert_eq!(got, list(&expected), "{rows} rows");
    (got, len)
}

#[test]
fn lora_in_three_products() {
    for rows in [1, 2, 5, 16, 31, 32, 33, 64] {
        lora(rows, Room::None);
        lora(rows, Room::ForAddend);
    }
}

#[test]
fn a_buffer_is_extended_only_if_a_kernel_reads_past_it() {
    let extended = 63 * 6;
    assert_eq!(lora(32, Room::None).1, 32 * 6);
    assert_eq!(lora(1, Room::None).1, 6);
    assert_eq!(lora(5, Room::None).1, 5 * 6 + extended);
    assert_eq!(lora(5, Room::ForAddend).1, 5 * 6 + extended);
}

#[test]
fn over_nothing() {
    let [left, right] = [[2, 0], [0, 3]].map(|shape| stored(&values(&shape, DType::F32, 1)));
    let y = stored(&values(&[2, 3], DType::F32, 1)).0;
    let before = y.as_slice::<f32>().unwrap().to_vec();
    let onto = product(1.0, 3.0).forward_onto(y, (&left.0, &left.1), (&right.0, &right.1));
    let y = onto.unwrap();
    let expected: Vec<f32> = before.iter().map(|y| y * 3.0).collect();
    assert_eq!(y.as_slice::<f32>().unwrap(), expected);
}
