//! Loops that benchmarks time: they do all of their work.

use metal_candle_cpu::ceiling::{multiply_add, read};

#[test]
fn every_number_is_read() {
    for n in [0, 1, 15, 128, 1000] {
        let numbers: Vec<f32> = (0..n).map(|i| i as f32).collect();
        assert_eq!(read(&numbers), (0..n).sum::<usize>() as f32);
    }
}

#[test]
fn operations_are_counted_over_all_lanes() {
    let done = multiply_add(100);
    // Every lane of every chain has come to one, by a hundred rounds of two operations.
    assert_eq!(done.flops as f32, done.result * 200.0);
}
