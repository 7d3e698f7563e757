//! Plans changed by hand: what the interpreter makes of each field, and what it refuses.

use metal_candle_mps::interp::{Fault, Host};
use metal_candle_mps::plan::{
    DataType, MatrixMultiplication, MatrixMultiplicationCall, Origin, Product, Slot,
};

use crate::layouts::Layout;

/// `(2, 2, 3)` times `(2, 3, 2)`.
fn plan() -> MatrixMultiplication {
    let views = [[2, 2, 3], [2, 3, 2], [2, 2, 2]]
        .map(|dims| Layout::contiguous(3).view(DataType::Float32, &dims));
    let [left, right, result] = &views;
    let product = Product {
        left,
        right,
        result,
        alpha: 1.0,
        beta: 0.0,
    };
    MatrixMultiplication::plan(&product).expect("contiguous f32")
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

fn run(change: fn(&mut MatrixMultiplicationCall)) -> Result<Vec<f32>, Fault> {
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

#[test]
fn a_batch_starts_and_ends_where_it_says() {
    let second = run(|call| (call.batch_start, call.batch_size) = (1, 1));
    assert_eq!(
        second,
        Ok(vec![0.0, 0.0, 0.0, 0.0, 220.0, 244.0, 301.0, 334.0])
    );
    let first = run(|call| call.batch_size = 1);
    assert_eq!(first, Ok(vec![22.0, 28.0, 49.0, 64.0, 0.0, 0.0, 0.0, 0.0]));
    let third = run(|call| call.batch_start = 1);
    let (needed, available) = (3, 2);
    assert_eq!(
        third,
        Err(Fault::TooSmall {
            slot: Slot::Left,
            axis: "matrices",
            needed,
            available
        })
    );
}

#[test]
fn origins_count_rows_and_columns() {
    let (mut plan, mut host) = (plan(), host());
    (plan.result_rows, plan.result_columns, plan.interior_columns) = (1, 1, 2);
    plan.calls[0].batch_size = 1;
    plan.calls[0].left_origin = Origin { row: 1, column: 1 };
    plan.calls[0].right_origin = Origin { row: 1, column: 0 };
    plan.calls[0].result_origin = Origin { row: 1, column: 0 };
    host.multiply(&plan).expect("in bounds");
    // [5 6] times [3 5] in element (1, 0)
    assert_eq!(results(&host), [0.0, 0.0, 45.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn origins_of_transposed_matrices_count_as_stored() {
    let (mut plan, mut host) = (plan(), host());
    (plan.result_rows, plan.result_columns, plan.interior_columns) = (1, 1, 2);
    plan.transpose_left = true;
    plan.calls[0].batch_size = 1;
    plan.calls[0].left_origin = Origin { row: 0, column: 2 };
    host.multiply(&plan).expect("in bounds");
    // Stored column 2, [3 6], times [1 3]
    assert_eq!(results(&host)[0], 21.0);
}

#[test]
fn too_little_matrix_for_an_origin() {
    let (needed, available) = (3, 2);
    let rows = run(|call| call.left_origin.row = 1);
    assert_eq!(
        rows,
        Err(Fault::TooSmall {
            slot: Slot::Left,
            axis: "rows",
            needed,
            available
        })
    );
    let columns = run(|call| call.result_origin.column = 1);
    let slot = Slot::Result;
    assert_eq!(
        columns,
        Err(Fault::TooSmall {
            slot,
            axis: "columns",
            needed,
            available
        })
    );
}

#[test]
fn a_matrix_outside_its_buffer_names_its_bytes() {
    let fault = run(|call| call.right.offset_bytes = 4);
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
fn descriptors_that_break_a_rule() {
    type Change = fn(&mut MatrixMultiplicationCall);
    let changes: [(Change, &str, usize); 5] = [
        (
            |call| call.left.offset_bytes = 2,
            "offset splits an element",
            2,
        ),
        (
            |call| call.left.descriptor.row_bytes = 14,
            "row stride splits an element",
            14,
        ),
        (
            |call| call.left.descriptor.row_bytes = 8,
            "row stride is shorter than a row",
            8,
        ),
        (
            |call| call.left.descriptor.matrix_bytes = 28,
            "matrix stride splits a row",
            28,
        ),
        (
            |call| call.left.descriptor.matrix_bytes = 12,
            "matrix stride is shorter than a matrix",
            12,
        ),
    ];
    for (change, rule, bytes) in changes {
        assert_eq!(
            run(change),
            Err(Fault::Descriptor {
                slot: Slot::Left,
                rule,
                bytes
            })
        );
    }
}

#[test]
fn absurd_numbers_are_faults_and_not_overflows() {
    let far = run(|call| call.left.offset_bytes = usize::MAX - 3);
    assert!(
        matches!(
            far,
            Err(Fault::OutOfBuffer {
                slot: Slot::Left,
                ..
            })
        ),
        "{far:?}"
    );
    let many = run(|call| call.left.descriptor.matrices = usize::MAX);
    assert!(
        matches!(
            many,
            Err(Fault::OutOfBuffer {
                slot: Slot::Left,
                ..
            })
        ),
        "{many:?}"
    );
    let none = run(|call| call.left.descriptor.matrices = 0);
    assert!(
        matches!(
            none,
            Err(Fault::TooSmall {
                axis: "matrices",
                ..
            })
        ),
        "{none:?}"
    );
    let origin = run(|call| call.left_origin.row = usize::MAX);
    assert!(
        matches!(origin, Err(Fault::TooSmall { axis: "rows", .. })),
        "{origin:?}"
    );
}

#[test]
fn a_missing_buffer_is_named() {
    let mut host = Host::default();
    assert_eq!(
        host.multiply(&plan()),
        Err(Fault::NoBuffer { slot: Slot::Left })
    );
}
