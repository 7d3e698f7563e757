//! Products that a measurement gives to MPS: what comes of them is what comes without it.

use candle_core::{DType, Device, MetalDevice, Var};
use metal_candle_kernels::testkit::{self, Array, Failure, Input, Problem};
use metal_candle_kernels::{Dropout, LoraWeights, MatMulOptions, Weight, lora_linear, matmul_with};
use metal_candle_mps::apple;
use metal_candle_mps::metal::use_calibration;
use metal_candle_mps::order::{LitmusRounds, Strategy};
use metal_candle_mps::plan::Engine;
use metal_candle_mps::policy::{Bucket, Calibration, Cell, Micros, Storage};

const HALVES: [DType; 2] = [DType::F16, DType::BF16];
const TYPES: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

/// Measurements by which MPS is faster at all products whose sizes are from 16 to 511, if `wins` says so of their dtypes.
fn measured(device: &MetalDevice, wins: impl Fn(DType, Option<DType>) -> bool) -> Calibration {
    let weights = |dtype| {
        let others = HALVES.map(Some).into_iter();
        let others = others.filter(move |_| dtype == DType::F32);
        [None].into_iter().chain(others)
    };
    let mut cells = vec![];
    for (dtype, weight) in TYPES
        .into_iter()
        .flat_map(|dtype| weights(dtype).map(move |weight| (dtype, weight)))
        .filter(|&(dtype, weight)| wins(dtype, weight))
    {
        for storage in [Storage::Nn, Storage::Nt, Storage::Tn, Storage::Tt] {
            for sizes in 0..125 {
                let log2 = [sizes % 5, sizes / 5 % 5, sizes / 25].map(|log2| log2 + 4);
                let bucket = Bucket {
                    dtype,
                    weight,
                    storage,
                    log2,
                };
                cells.extend([Engine::NdArray, Engine::Matrix].map(|engine| Cell {
                    engine,
                    bucket,
                    sizes: None,
                    micros: Micros([1e6, 1e3, 0.0]),
                }));
            }
        }
    }
    Calibration {
        key: apple::key(device, Strategy::Blocking).unwrap(),
        litmus: LitmusRounds::new(1, 0),
        overhead_micros: 1.0,
        cells,
        softmax: vec![],
    }
}

/// Has engines chosen by such measurements while `f` runs.
pub fn with_mps(
    device: &Device,
    wins: impl Fn(DType, Option<DType>) -> bool,
    f: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let gpu = device.as_metal_device()?;
    assert!(use_calibration(gpu, measured(gpu, wins)).unwrap());
    let result = f();
    assert!(use_calibration(gpu, measured(gpu, |_, _| false)).unwrap());
    result
}

/// An adapted layer as training has it: x, the weight and the result in dtypes of their own, the adapter in float32.
pub struct AdaptedLayer {
    pub sizes: [usize; 4],
    pub weight: DType,
    pub bias: bool,
    pub dropout: f64,
}

const SCALE: f64 = 1.75;

impl AdaptedLayer {
    pub fn problem(&self) -> Problem {
        let [m, n, k, r] = self.sizes;
        let mut inputs = vec![
            Input::new("x", &[m, k]),
            Input::new("A", &[r, k]).in_dtype(Some(DType::F32)),
            Input::new("B", &[n, r]).in_dtype(Some(DType::F32)),
            Input::new("W", &[n, k])
                .in_dtype(Some(self.weight))
                .constant(),
        ];
        if self.bias {
            inputs.push(Input::new("bias", &[n]).constant());
        }
        let dropout = Dropout::new(self.dropout, 42).ok();
        let dropout = dropout.filter(|_| self.dropout > 0.0);
        Problem::new(inputs, move |x| truth(x, dropout)).run("lora_linear", move |x| {
            let lora = LoraWeights {
                a: &x[1],
                b: &x[2],
                scale: SCALE,
                dropout,
            };
            lora_linear(&x[0], &Weight::from(x[3].clone()), x.get(4), lora)
        })
    }
}

fn truth(inputs: &[Array], dropout: Option<Dropout>) -> Array {
    let [x, a, b, w, bias @ ..] = inputs else {
        panic!("x, A, B and W")
    };
    let mask = dropout.map(|dropout| {
        let mask = dropout.mask(&x.dims[..].into(), DType::F32, &Device::Cpu);
        Array::from_tensor(&mask.unwrap()).unwrap()
    });
    let kept = |i: &[usize]| mask.as_ref().map_or(1.0, |mask| mask.at(i));
    let (k, r) = (x.dims[1], a.dims[0]);
    let dot = |row: usize, rank: usize| -> f64 {
        let of = |i: usize| kept(&[row, i]) * x.at(&[row, i]) * a.at(&[rank, i]);
        (0..k).map(of).sum()
    };
    let h = Array::from_fn(&[x.dims[0], r], |i| dot(i[0], i[1]));
    Array::from_fn(&[x.dims[0], b.dims[0]], |i| {
        let frozen: f64 = (0..k).map(|c| x.at(&[i[0], c]) * w.at(&[i[1], c])).sum();
        let update: f64 = (0..r).map(|c| h.at(&[i[0], c]) * b.at(&[i[1], c])).sum();
        frozen + bias.first().map_or(0.0, |bias| bias.data[i[1]]) + SCALE * update
    })
}

/// Calls of MPS and of kernels with such beginnings of their names while `f` runs; none can be counted on a Mac.
pub fn calls<T>(f: impl FnOnce() -> T, kernels: &[&str]) -> (T, Option<[usize; 2]>) {
    #[cfg(soft_metal)]
    soft_metal::take_counts();
    let result = f();
    #[cfg(soft_metal)]
    let calls = {
        let counts = soft_metal::take_counts();
        let is_one = |name: &str| kernels.iter().any(|beginning| name.starts_with(beginning));
        let of_mps = counts.mps.values().map(|calls| calls.dispatches).sum();
        Some([of_mps, counts.of(is_one).dispatches])
    };
    #[cfg(not(soft_metal))]
    let calls = {
        let _ = kernels;
        None
    };
    (result, calls)
}

/// Forward and gradients of frozen layers with an adapter, x in each dtype beside weights in each that models have.
pub fn adapted_layers(device: &Device) -> Result<(), Failure> {
    for (x, weight) in [
        (DType::F32, DType::F32),
        (DType::F32, DType::BF16),
        (DType::F32, DType::F16),
        (DType::BF16, DType::BF16),
        (DType::F16, DType::F16),
    ] {
        for (bias, dropout) in [(false, 0.0), (true, 0.0), (false, 0.3)] {
            let layer = AdaptedLayer {
                sizes: [17, 24, 16, 2],
                weight,
                bias,
                dropout,
            };
            let check = || testkit::check(&layer.problem(), x, device);
            let (result, calls) = calls(check, &[]);
            let what = format!("{x:?} x {weight:?}, bias {bias}, dropout {dropout}");
            result.map_err(|failure| failure.of(&what))?;
            assert!(calls.is_none_or(|[of_mps, _]| of_mps > 0), "{what}");
        }
    }
    Ok(())
}

/// Products of `(M, K)` by `(N, K)`, forward, and their gradients: the calls of MPS and of kernels with such names.
pub fn forward_and_gradient(
    device: &Device,
    [m, n, k]: [usize; 3],
    [x, weight]: [DType; 2],
    kernels: &[&str],
) -> Result<[Option<[usize; 2]>; 2], Failure> {
    let tensor = |name, dims: &[usize], dtype| {
        let numbers = Input::new(name, dims).rounded(dtype)?;
        Ok::<_, Failure>(numbers.to_tensor(dtype)?.to_device(device)?)
    };
    let (x, weight) = (tensor("x", &[m, k], x)?, tensor("W", &[n, k], weight)?);
    let x = Var::from_tensor(&x)?;
    let options = MatMulOptions {
        transpose_b: true,
        ..MatMulOptions::default()
    };
    let forward = || matmul_with(x.as_tensor(), &weight, None, options);
    let (y, of_forward) = calls(forward, kernels);
    let (gradients, of_backward) = calls(|| y?.backward(), kernels);
    assert!(gradients?.get(x.as_tensor()).is_some());
    Ok([of_forward, of_backward])
}
