//! Tensors on the GPU beside the same ones on the CPU.

use candle_core::{DType, Device, MetalStorage, Shape, Storage, Tensor, Var};
use metal_candle_mps::apple;
use metal_candle_mps::metal::{self, Operand, Room};
use metal_candle_mps::plan::Engine;
use metal_candle_mps::tensor::{MatMulOptions, MpsMatMul};

use crate::support::Guard;

fn gpu() -> Device {
    Device::new_metal(0).expect("a device")
}

fn values(shape: &[usize], dtype: DType, seed: usize) -> Tensor {
    let count: usize = shape.iter().product();
    let value = |i: usize| ((i * 7 + seed * 5) % 17) as f32 / 4.0 - 2.0;
    let values: Vec<f32> = (0..count).map(value).collect();
    let tensor = Tensor::from_vec(values, shape, &Device::Cpu).expect("values");
    tensor.to_dtype(dtype).expect("a float")
}

fn list(tensor: &Tensor) -> Vec<f32> {
    let tensor = tensor.to_device(&Device::Cpu).expect("a copy");
    let flat = tensor.to_dtype(DType::F32).and_then(|t| t.flatten_all());
    flat.and_then(|t| t.to_vec1()).expect("values")
}

fn assert_near(got: &Tensor, expected: &Tensor) {
    assert_eq!(
        (got.dims(), got.dtype()),
        (expected.dims(), expected.dtype())
    );
    // A last bit: sums run in another order, and halves are rounded more than once.
    let tolerance = if got.dtype() == DType::F32 {
        1e-5
    } else {
        1.6e-2
    };
    for (got, expected) in list(got).into_iter().zip(list(expected)) {
        let off = (got - expected).abs();
        assert!(
            off <= tolerance * expected.abs().max(1.0),
            "{got} {expected}"
        );
    }
}

/// Stored shapes of left, right and addend, and the transpositions of the factors.
type Case = ([&'static [usize]; 3], [bool; 2]);

const CASES: [Case; 9] = [
    ([&[2, 3], &[3, 2], &[2, 2]], [false, false]),
    ([&[33, 17], &[17, 40], &[40]], [false, false]),
    ([&[17, 33], &[40, 17], &[33, 40]], [true, true]),
    ([&[2, 5, 16], &[24, 16], &[24]], [false, true]),
    ([&[2, 3, 4, 8], &[2, 1, 8, 5], &[3, 1, 5]], [false, false]),
    ([&[3, 1, 8], &[3, 8, 64], &[1, 64]], [false, false]),
    ([&[1, 64], &[9, 64], &[9]], [false, true]),
    ([&[7, 8], &[8, 1], &[7, 1]], [false, false]),
    ([&[0, 8], &[8, 4], &[4]], [false, false]),
];

fn product(case: &Case, dtype: DType, device: &Device) -> [Tensor; 2] {
    let ([left, right, addend], [transpose_left, transpose_right]) = *case;
    let place = |shape, seed| {
        values(shape, dtype, seed)
            .to_device(device)
            .expect("a copy")
    };
    let (left, right, addend) = (place(left, 1), place(right, 2), place(addend, 3));
    let options = MatMulOptions {
        transpose_left,
        transpose_right,
        ..Default::default()
    };
    let added = MatMulOptions {
        alpha: 0.5,
        beta: -2.0,
        addend: Some(&addend),
        ..options
    };
    [options, added].map(|options| left.mps_matmul_with(&right, &options).expect("a product"))
}

#[test]
fn products_are_those_of_the_cpu() {
    let _guard = Guard::new();
    let device = gpu();
    for (i, case) in CASES.iter().enumerate() {
        let dtype = [DType::F32, DType::F16, DType::BF16][i % 3];
        let expected = product(case, dtype, &Device::Cpu);
        for (got, expected) in product(case, dtype, &device).iter().zip(&expected) {
            assert_near(got, expected);
        }
    }
}

#[test]
fn every_engine_on_request() {
    let _guard = Guard::new();
    let device = gpu();
    let [left, right] = [[16, 24], [24, 8]].map(|shape| values(&shape, DType::F32, 1));
    let expected = left.mps_matmul(&right).expect("a product");
    let [left, right] = [left, right].map(|t| t.to_device(&device).expect("a copy"));
    for engine in [Engine::Steel, Engine::NdArray, Engine::Matrix] {
        let options = MatMulOptions {
            engine: Some(engine),
            ..Default::default()
        };
        let got = left.mps_matmul_with(&right, &options).expect("a product");
        assert_near(&got, &expected);
    }
}

#[test]
fn an_addend_without_a_factor_is_not_read() {
    let _guard = Guard::new();
    let device = gpu();
    for shapes in [[[5, 8], [8, 6]], [[1, 8], [8, 64]]] {
        let [left, right] = shapes.map(|shape| values(&shape, DType::F32, 1));
        let expected = (left.mps_matmul(&right).expect("a product") * 2.0).expect("scaled");
        let [left, right] = [left, right].map(|t| t.to_device(&device).expect("a copy"));
        let nan = Tensor::full(f32::NAN, expected.shape(), &device).expect("filled");
        let options = MatMulOptions {
            alpha: 2.0,
            beta: 0.0,
            addend: Some(&nan),
            ..Default::default()
        };
        let got = left.mps_matmul_with(&right, &options).expect("a product");
        assert_near(&got, &expected);
    }
}

#[test]
fn views_are_read_where_they_lie_or_copied() {
    let _guard = Guard::new();
    let device = gpu();
    let views = |device: &Device| {
        let x = values(&[6, 10, 4], DType::F32, 1)
            .to_device(device)
            .expect("a copy");
        let narrow = x
            .narrow(0, 1, 4)
            .and_then(|t| t.narrow(1, 3, 6))
            .expect("inside");
        let turned = narrow
            .transpose(0, 1)
            .and_then(|t| t.contiguous())
            .expect("a copy");
        let every_second = x
            .narrow(2, 1, 1)
            .and_then(|t| t.squeeze(2))
            .expect("inside");
        [
            narrow
                .mps_matmul(&narrow.t().expect("a matrix"))
                .expect("a product"),
            turned
                .transpose(0, 1)
                .expect("a matrix")
                .mps_matmul(&x.t().expect("a matrix").narrow(0, 2, 4).expect("inside"))
                .expect("a product"),
            every_second
                .mps_matmul(&every_second.t().expect("a matrix"))
                .expect("a product"),
        ]
    };
    for (got, expected) in views(&device).iter().zip(views(&Device::Cpu)) {
        assert_near(got, &expected);
    }
}

#[test]
fn gradients_are_those_of_the_cpu() {
    let _guard = Guard::new();
    let gradients = |device: &Device| {
        let var = |shape: &[usize], seed| {
            let tensor = values(shape, DType::F32, seed)
                .to_device(device)
                .expect("a copy");
            Var::from_tensor(&tensor).expect("a variable")
        };
        let vars = [var(&[2, 5, 8], 1), var(&[6, 8], 2), var(&[6], 3)];
        let addend = Some(vars[2].as_tensor());
        let options = MatMulOptions {
            transpose_right: true,
            alpha: 0.5,
            addend,
            ..Default::default()
        };
        let y = vars[0]
            .mps_matmul_with(&vars[1], &options)
            .expect("a product");
        let grads = y
            .sqr()
            .and_then(|y| y.sum_all())
            .and_then(|sum| sum.backward())
            .expect("gradients");
        vars.map(|var| grads.get(&var).expect("a gradient").clone())
    };
    let device = gpu();
    for (got, expected) in gradients(&device).iter().zip(gradients(&Device::Cpu)) {
        assert_near(got, &expected);
    }
}

fn tensor(storage: MetalStorage, shape: Shape) -> Tensor {
    let none = candle_core::op::BackpropOp::none();
    Tensor::from_storage(Storage::Metal(storage), shape, none, false)
}

/// `x W^T + s (x A^T) B^T` in three products and with one temporary.
fn lora(tensors: &[Tensor; 4], room: Room) -> Tensor {
    let held = tensors.each_ref().map(|t| t.storage_and_layout());
    let storages = held.each_ref().map(|(storage, _)| match &**storage {
        Storage::Metal(storage) => storage,
        _ => unreachable!("on the GPU"),
    });
    let operand = |i: usize| -> Operand<'_> { (storages[i], held[i].1) };
    let turned = [1, 2, 3].map(|i: usize| held[i].1.transpose(0, 1).expect("a matrix"));
    let transposed = |i: usize| -> Operand<'_> { (storages[i], &turned[i - 1]) };
    let (x, one) = (operand(0), [1.0, 0.0]);
    let (h, h_shape) = metal::gemm(x, transposed(2), None, one, Room::None).expect("h");
    let (y, shape) = metal::gemm(x, transposed(1), None, one, room).expect("y");
    let h_layout = candle_core::Layout::contiguous(h_shape);
    let y = metal::gemm_onto(y, (&h, &h_layout), transposed(3), [0.5, 1.0]);
    let y = y.expect("y + h B^T");
    tensor(y, shape)
}

#[test]
fn lora_adds_to_a_result_in_place() {
    let _guard = Guard::new();
    let device = gpu();
    for rows in [1, 5, 32, 33] {
        let shapes = [[rows, 24], [20, 24], [4, 24], [20, 4]];
        let tensors = shapes.map(|shape| values(&shape, DType::F32, 1));
        let [x, w, a, b] = &tensors;
        let times =
            |x: &Tensor, w: &Tensor| x.matmul(&w.t().expect("a matrix")).expect("a product");
        let expected =
            (times(x, w) + (times(&times(x, a), b) * 0.5).expect("scaled")).expect("a sum");
        let tensors = tensors.map(|t| t.to_device(&device).expect("a copy"));
        for room in [Room::None, Room::ForAddend] {
            assert_near(&lora(&tensors, room), &expected);
        }
    }
}

#[test]
fn measurements_of_another_machine_are_not_used() {
    use metal_candle_mps::order::{Key, LitmusRounds, Strategy};
    use metal_candle_mps::policy::Calibration;
    let _guard = Guard::new();
    let Device::Metal(device) = gpu() else {
        unreachable!("it was asked for")
    };
    let calibration = |key: Key| Calibration {
        key,
        litmus: LitmusRounds::new(1, 0),
        overhead_micros: 1.0,
        cells: vec![],
        softmax: vec![],
    };
    let here = apple::key(&device, Strategy::Blocking).expect("a key");
    let there = Key {
        gpu: "another".into(),
        ..here.clone()
    };
    assert!(!metal::use_calibration(&device, calibration(there)).expect("a device"));
    assert!(metal::use_calibration(&device, calibration(here)).expect("a device"));
}
