//! Plans changed by hand: what the interpreter makes of each field, and what it refuses.

use candle_core::DType;
use metal_candle_mps::interp::{Fault, Host};
use metal_candle_mps::plan::{Gemm, Matrix, MatrixMultiplication, Slot};

use crate::layouts::Layout;

/// `(2, 2, 3)` times `(2, 3, 2)`.
fn plan() -> MatrixMultiplication {
    let views =
        [[2, 2, 3], [2, 3, 2], [2, 2, 2]].map(|dims| Layout::contiguous(3).view(DType::F32, &dims));
    let [left, right, result] = &views;
    MatrixMultiplication::plan(&Gemm::new(left, right, result)).expect("contiguous f32")
}

fn host() -> Host {
    let count = |n: u8| {
        (1..=n)
            .flat_map(|v| f32::from(v).to_le_bytes())
            .collect::<Vec<u8>>()
    };
    let mut host = Host::default();
    host.insert(Slot::Left, count(12));
    host.insert(Slot::Right, count(12));
    host.insert(Slot::Result, vec![0; 32]);
    host
}

fn results(host: &Host) -> Vec<f32> {
    let bytes = host.bytes(Slot::Result).expect("inserted");
    let element = |chunk: &[u8]| f32::from_le_bytes(chunk.try_into().expect("four bytes"));
    bytes.chunks(4).map(element).collect()
}

fn run(change: fn(&mut [Matrix; 3])) -> Result<Vec<f32>, Fault> {
    let (mut plan, mut host) = (plan(), host());
    change(&mut plan.calls[0]);
    host.multiply(&plan)?;
    Ok(results(&host))
}

#[test]
fn unchanged() {
    let expected = [22.0, 28.0, 49.0, 64.0, 220.0, 244.0, 301.0, 334.0];
    assert_eq!(run(|_| {}), Ok(expected.to_vec()));
}

fn too_small(slot: Slot, axis: &'static str, needed: usize, available: usize) -> Fault {
    Fault::TooSmall {
        slot,
        axis,
        needed,
        available,
    }
}

#[test]
fn a_batch_ends_with_the_matrices_of_the_result() {
    let first = run(|call| call[2].matrices = 1);
    assert_eq!(first, Ok(vec![22.0, 28.0, 49.0, 64.0, 0.0, 0.0, 0.0, 0.0]));
    let short = run(|call| call[0].matrices = 1);
    assert_eq!(short, Err(too_small(Slot::Left, "matrices", 2, 1)));
}

#[test]
fn an_origin_counts_columns() {
    let (mut plan, mut host) = (plan(), host());
    plan.kernel.rows = 1;
    plan.kernel.columns = 1;
    plan.kernel.interior = 2;
    plan.calls[0][0].origin = 1;
    plan.calls[0][1].origin = 1;
    plan.calls[0][2].origin = 1;
    plan.calls[0][2].matrices = 1;
    host.multiply(&plan).expect("in bounds");
    // [2 3] times [2 4] in element (0, 1)
    assert_eq!(results(&host), [0.0, 16.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn origins_of_transposed_matrices_count_as_stored() {
    let (mut plan, mut host) = (plan(), host());
    plan.kernel.rows = 1;
    plan.kernel.columns = 1;
    plan.kernel.interior = 2;
    plan.kernel.transpose_left = true;
    plan.calls[0][0].origin = 2;
    plan.calls[0][2].matrices = 1;
    host.multiply(&plan).expect("in bounds");
    // Stored column 2, [3 6], times [1 3]
    assert_eq!(results(&host)[0], 21.0);
}

#[test]
fn too_little_matrix_for_the_kernel() {
    let columns = run(|call| call[2].origin = 1);
    assert_eq!(columns, Err(too_small(Slot::Result, "columns", 3, 2)));
    let rows = run(|call| call[0].rows = 1);
    assert_eq!(rows, Err(too_small(Slot::Left, "rows", 2, 1)));
}

#[test]
fn a_matrix_outside_its_buffer_names_its_bytes() {
    let fault = run(|call| call[1].offset_bytes = 4);
    let (start_bytes, end_bytes, len_bytes) = (4, 52, 48);
    let slot = Slot::Right;
    let expected = Fault::OutOfBuffer {
        slot,
        start_bytes,
        end_bytes,
        len_bytes,
    };
    assert_eq!(
        expected.to_string(),
        "right: bytes 4..52 are outside a buffer of 48 B"
    );
    assert_eq!(fault, Err(expected));
}

#[test]
fn matrices_that_break_a_rule() {
    type Change = fn(&mut Matrix);
    let changes: [(Change, &str, usize); 5] = [
        (|m| m.offset_bytes = 2, "offset splits an element", 2),
        (|m| m.row_bytes = 14, "row stride splits an element", 14),
        (|m| m.row_bytes = 8, "row stride is shorter than a row", 8),
        (|m| m.matrix_bytes = 28, "matrix stride splits a row", 28),
        (
            |m| m.matrix_bytes = 12,
            "matrix stride is shorter than a matrix",
            12,
        ),
    ];
    for (change, rule, bytes) in changes {
        let (mut plan, slot) = (plan(), Slot::Left);
        change(&mut plan.calls[0][0]);
        let fault = host().multiply(&plan);
        assert_eq!(fault, Err(Fault::Descriptor { slot, rule, bytes }));
    }
}

#[test]
fn absurd_numbers_are_faults_and_not_overflows() {
    let far = run(|call| call[0].offset_bytes = usize::MAX - 3);
    let many = run(|call| call[0].matrices = usize::MAX);
    for fault in [far, many] {
        let slot = Slot::Left;
        let expected = matches!(fault, Err(Fault::OutOfBuffer { slot: s, .. }) if s == slot);
        assert!(expected, "{fault:?}");
    }
    let none = run(|call| call[0].matrices = 0);
    assert_eq!(none, Err(too_small(Slot::Left, "matrices", 1, 0)));
    let origin = run(|call| call[0].origin = usize::MAX);
    assert_eq!(origin, Err(too_small(Slot::Left, "columns", usize::MAX, 3)));
}

#[test]
fn a_missing_buffer_is_named() {
    let mut host = Host::default();
    assert_eq!(
        host.multiply(&plan()),
        Err(Fault::NoBuffer { slot: Slot::Left })
    );
}
