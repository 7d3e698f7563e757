//! Softmax.

use candle_core::{DType, Device, Storage, Tensor};
use metal_candle_mps::apple;
use metal_candle_mps::interp::Host;
use metal_candle_mps::metal;
use metal_candle_mps::order::{LitmusRounds, Strategy};
use metal_candle_mps::plan::{MatrixSoftMax, Slot, scalar};
use metal_candle_mps::policy::{Calibration, Micros, RowsCell};

use crate::layouts::{Layout, buffer};
use crate::support::{Guard, Uploaded, download, metal, orders, proof};

#[test]
fn soft_max_gives_the_interpreters_answer() {
    let _guard = Guard::new();
    let device = metal();
    let proof = proof(&device);
    let packed = Layout::contiguous(2);
    let spread = Layout {
        gaps: vec![0, 8],
        offset: 8,
        tail_bytes: 5,
        ..packed.clone()
    };
    for dtype in [DType::F32, DType::F16] {
        for layout in [&packed, &spread] {
            let (source, result) = (layout.view(dtype, &[6, 8]), packed.view(dtype, &[6, 8]));
            let plan = MatrixSoftMax::plan(&source, &result).expect("aligned rows");
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
                apple::encode_softmax(&device, &plan, &uploaded.buffers(), order).expect("encoded");
                let got = download(&device, uploaded.result());
                assert_close(dtype, &got, expected);
            }
        }
    }
}

fn assert_close(dtype: DType, got: &[u8], expected: &[u8]) {
    let size = dtype.size_in_bytes();
    for (got, expected) in got.chunks(size).zip(expected.chunks(size)) {
        let [x, y] = [got, expected].map(|bytes| scalar::decode(dtype, bytes));
        assert!((x - y).abs() <= 2e-3 * y.abs(), "{x} {y}");
    }
}

/// Softmax of `x` by MPS, if the policy says so.
fn by_policy(x: &Tensor) -> Option<Vec<Vec<f32>>> {
    let (storage, layout) = x.storage_and_layout();
    let Storage::Metal(storage) = &*storage else {
        panic!("on a GPU")
    };
    let y = metal::softmax((storage, layout)).expect("a GPU that works")?;
    let none = candle_core::op::BackpropOp::none();
    let y = Tensor::from_storage(Storage::Metal(y), layout.shape(), none, false);
    Some(y.to_vec2().expect("values"))
}

#[test]
fn it_is_of_mps_where_that_was_measured_to_win() {
    let _guard = Guard::new();
    let device = metal();
    let x = Tensor::new(
        &[[0f32, 3f32.ln()], [1.0, 1.0]],
        &Device::Metal(device.clone()),
    );
    let x = x.expect("a tensor");
    let micros = Micros([1e6, 1.0, 1.0]);
    let cell = RowsCell {
        dtype: DType::F32,
        log2: [1, 1],
        micros,
    };
    let measured = |softmax| Calibration {
        key: apple::key(&device, Strategy::Blocking).expect("a key"),
        litmus: LitmusRounds::new(1, 0),
        overhead_micros: 1.0,
        cells: vec![],
        softmax,
    };
    for (cells, expected) in [
        (vec![], None),
        (vec![cell], Some(vec![vec![0.25, 0.75], vec![0.5, 0.5]])),
        (vec![], None),
    ] {
        assert!(metal::use_calibration(&device, measured(cells)).expect("a device"));
        let got = by_policy(&x);
        assert_eq!(got.is_some(), expected.is_some());
        for (got, expected) in got
            .iter()
            .flatten()
            .flatten()
            .zip(expected.iter().flatten().flatten())
        {
            assert!((got - expected).abs() <= 1e-6, "{got} {expected}");
        }
        assert_eq!(by_policy(&x.t().expect("a matrix")), None, "not its layout");
    }
}
