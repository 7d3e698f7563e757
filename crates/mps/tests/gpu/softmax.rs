//! Soft-max and its logarithm.

use metal_candle_mps::apple;
use metal_candle_mps::interp::Host;
use metal_candle_mps::plan::{DataType, MatrixSoftMax, Slot, SoftMaxKind, scalar};

use crate::layouts::{Layout, buffer};
use crate::support::{Guard, Uploaded, download, metal, orders, proof};

#[test]
fn soft_max_gives_the_interpreters_answer() {
    let _guard = Guard::new();
    let device = metal();
    let proof = proof(&device);
    let packed = Layout::contiguous(3);
    let spread = Layout {
        gaps: vec![0, 8, 8],
        offset: 8,
        tail_bytes: 5,
        ..packed.clone()
    };
    for kind in [SoftMaxKind::SoftMax, SoftMaxKind::LogSoftMax] {
        for dtype in [DataType::Float32, DataType::Float16] {
            for layout in [&packed, &spread] {
                let (source, result) = (
                    layout.view(dtype, &[2, 3, 8]),
                    packed.view(dtype, &[2, 3, 8]),
                );
                let plan = MatrixSoftMax::plan(kind, &source, &result).expect("aligned rows");
                let mut host = Host::default();
                host.insert(Slot::Source, buffer(&source, 3));
                host.insert(Slot::Result, vec![0xff; result.buffer_len_bytes()]);
                let orders = orders(&proof);
                let uploads: Vec<_> = orders
                    .iter()
                    .map(|order| (order, Uploaded::new(&device, &host)))
                    .collect();
                host.soft_max(&plan).expect("it is in bounds");
                let expected = host.bytes(Slot::Result).expect("it was inserted");
                for (order, uploaded) in uploads {
                    apple::encode_softmax(&device, &plan, &uploaded.buffers(), order)
                        .expect("encoded");
                    let got = download(&device, uploaded.result());
                    assert_close(dtype, &got, expected);
                }
            }
        }
    }
}

fn assert_close(dtype: DataType, got: &[u8], expected: &[u8]) {
    let size = dtype.size_in_bytes();
    for (got, expected) in got.chunks(size).zip(expected.chunks(size)) {
        let [x, y] = [got, expected].map(|bytes| scalar::decode(dtype, bytes));
        assert!((x - y).abs() <= 2e-3 * y.abs(), "{x} {y}");
    }
}
