//! Every operation with the sizes that it is measured on: those of the published table first, then
//! those of models.

use super::candle;
use super::operation::{Implementation, InputSpec, Operation};
use super::table;
use crate::options::ENGINES;
use candle_core::{DType, Tensor, Var};
use metal_candle_cli::error::{Error, Result};
use metal_candle_kernels::adamw::{self, Moments, Update};
use metal_candle_kernels::case::{Case, Costed};
use metal_candle_kernels::ops;
use metal_candle_kernels::{Activation, AdamW, AttentionMask, LoraWeights, RopePairs, matmul_with};
use metal_candle_mps::plan::Engine;
use metal_candle_mps::tensor::{MpsMatMul, mps_softmax};
use serde_json::{Value, json};
use std::cell::{OnceCell, RefCell};

const EPS: f64 = 1e-6;

/// Factor of the adapter's product: alpha 16 at rank 8.
const LORA_SCALE: f64 = 2.0;

/// All of them, each subject once; on a GPU the table has them in 16 bits, too, and products of both.
pub fn all(is_gpu: bool) -> Vec<Operation> {
    let mut all = vec![];
    macro_rules! add {
        ($has_16_bits:expr; $($op:ident),*) => {$(
            let mut cases = ops::$op::cases::table();
            if $has_16_bits {
                cases.extend(table::in_16_bits(&cases));
            }
            cases.extend(ops::$op::cases::models());
            all.extend(cases.iter().map(self::$op));
        )*};
    }
    add!(is_gpu; matmul, lora_linear, rms_norm, softmax, rope, glu);
    add!(is_gpu; attention, linear_cross_entropy);
    // Parameters and moments are float32 whatever the model is.
    add!(false; adamw);
    let mixed = table::mixed_products().into_iter().filter(|_| is_gpu);
    all.extend(
        mixed
            .chain(ops::linear::cases::models())
            .map(|case| linear(&case)),
    );
    let mut seen = std::collections::HashSet::new();
    all.retain(|o| seen.insert((o.op, o.case.clone(), o.dtype_name())));
    all
}

/// What the operations below have in common.
fn operation<S: Costed>(op: &'static str, case: &Case<S>, name: String, sizes: Value) -> Operation {
    Operation {
        op,
        case: name,
        source: case.name.clone(),
        dtype: case.dtype,
        sizes,
        forward: case.forward(),
        backward: case.backward(),
        inputs: vec![],
        run: Box::new(|_| Ok(vec![])),
        truth: None,
        candle: Box::new(|_| Ok(vec![])),
        engines: vec![],
    }
}

/// One function as a [`Implementation`].
fn run(f: impl Fn(&[Tensor]) -> metal_candle_kernels::Result<Tensor> + 'static) -> Implementation {
    Box::new(move |x| Ok(vec![f(x)?]))
}

fn sizes_text(dims: &[usize]) -> String {
    dims.iter()
        .map(usize::to_string)
        .collect::<Vec<_>>()
        .join("x")
}

fn matmul(case: &Case<ops::matmul::cases::CaseShape>) -> Operation {
    let shape = &case.shape;
    let (m, n, k) = shape.sizes();
    let options = shape.options;
    let sizes = json!({"a": shape.a, "b": shape.b, "transpose_b": options.transpose_b});
    Operation {
        inputs: vec![InputSpec::new("A", &shape.a), InputSpec::new("B", &shape.b)],
        run: run(move |x| matmul_with(&x[0], &x[1], None, options)),
        candle: candle::matmul(options.transpose_b),
        engines: engines(options.transpose_b),
        ..operation("matmul", case, sizes_text(&[m, k, n]), sizes)
    }
}

/// The product by each engine of an Apple GPU.
fn engines(transpose_right: bool) -> Vec<(&'static str, Implementation)> {
    let by = |engine| -> Implementation {
        Box::new(move |x| {
            let options = metal_candle_mps::tensor::MatMulOptions {
                transpose_right,
                engine: Some(engine),
                ..Default::default()
            };
            let product = x[0].mps_matmul_with(&x[1], &options);
            Ok(vec![product.map_err(Error::failed)?])
        })
    };
    let engines = [Engine::Steel, Engine::NdArray, Engine::Matrix];
    ENGINES.into_iter().zip(engines.map(by)).collect()
}

/// The product with a weight that is packed or of another dtype, beside candle's with one of the dtype of `x`.
pub fn linear(case: &Case<ops::linear::cases::CaseShape>) -> Operation {
    let shape = &case.shape;
    let (k, n, storage) = (shape.inputs, shape.outputs, shape.storage);
    let rows: usize = shape.lead.iter().product();
    let name = format!("{} {storage}", sizes_text(&[rows, k, n]));
    let sizes = json!({"rows": rows, "inputs": k, "outputs": n, "weight": storage.to_string()});
    let stored = OnceCell::new();
    Operation {
        inputs: vec![
            InputSpec::new("x", &[rows, k]),
            InputSpec::new("W", &[n, k]).frozen(),
        ],
        run: Box::new(move |x| {
            if stored.get().is_none() {
                let _ = stored.set(storage.weight(&x[1])?);
            }
            match stored.get() {
                Some(weight) => Ok(vec![metal_candle_kernels::linear(&x[0], weight, None)?]),
                None => Ok(vec![]),
            }
        }),
        truth: Some(Box::new(move |x| {
            // From float32, as it is run: of float64, half cuts bits off before it rounds.
            let dense = storage.weight(&x[1].to_dtype(DType::F32)?)?.dense()?;
            Ok(vec![x[0].matmul(&dense.to_dtype(x[0].dtype())?.t()?)?])
        })),
        candle: candle::matmul(true),
        ..operation("linear", case, name, sizes)
    }
}

fn lora_linear(case: &Case<ops::lora_linear::cases::CaseShape>) -> Operation {
    let shape = &case.shape;
    let (k, n, r) = (shape.inputs, shape.outputs, shape.rank);
    let rows: usize = shape.lead.iter().product();
    let name = format!("{} r{r}", sizes_text(&[rows, k, n]));
    let sizes = json!({"rows": rows, "inputs": k, "outputs": n, "rank": r});
    Operation {
        inputs: vec![
            InputSpec::new("x", &[rows, k]),
            InputSpec::new("A", &[r, k]),
            InputSpec::new("B", &[n, r]),
            InputSpec::new("W", &[n, k]).frozen(),
        ],
        run: run(|x| {
            let lora = LoraWeights {
                a: &x[1],
                b: &x[2],
                scale: LORA_SCALE,
                dropout: None,
            };
            metal_candle_kernels::lora_linear(&x[0], &x[3].clone().into(), None, lora)
        }),
        candle: candle::lora_linear(LORA_SCALE),
        ..operation("lora_linear", case, name, sizes)
    }
}

fn rms_norm(case: &Case<ops::rms_norm::cases::CaseShape>) -> Operation {
    let (dims, width) = (&case.shape.dims, case.shape.width());
    Operation {
        inputs: vec![
            InputSpec::new("x", dims),
            InputSpec::new("weight", &[width]),
        ],
        run: run(|x| metal_candle_kernels::rms_norm(&x[0], &x[1], EPS)),
        candle: candle::rms_norm(EPS as f32),
        ..operation("rms_norm", case, sizes_text(dims), json!({"dims": dims}))
    }
}

fn softmax(case: &Case<ops::softmax::cases::CaseShape>) -> Operation {
    let dims = &case.shape.dims;
    Operation {
        inputs: vec![InputSpec::new("x", dims).of_size(4.0)],
        run: run(|x| metal_candle_kernels::softmax(&x[0])),
        candle: candle::softmax(),
        engines: vec![(ENGINES[3], softmax_by_mps())],
        ..operation("softmax", case, sizes_text(dims), json!({"dims": dims}))
    }
}

fn softmax_by_mps() -> Implementation {
    Box::new(|x| Ok(vec![mps_softmax(&x[0]).map_err(Error::failed)?]))
}

fn rope(case: &Case<ops::rope::cases::CaseShape>) -> Operation {
    let (dims, table) = (case.shape.dims(), case.shape.table_dims());
    let tables = ["cos", "sin"].map(|name| InputSpec::new(name, &table).frozen());
    let inputs = std::iter::once(InputSpec::new("x", &dims)).chain(tables);
    Operation {
        inputs: inputs.collect(),
        run: run(|x| metal_candle_kernels::rope(&x[0], &x[1], &x[2], RopePairs::Halves)),
        candle: candle::rope(),
        ..operation("rope", case, sizes_text(&dims), json!({"dims": dims}))
    }
}

fn glu(case: &Case<ops::glu::cases::CaseShape>) -> Operation {
    let dims = &case.shape.dims;
    let gate = InputSpec::new("gate", dims).of_size(4.0);
    Operation {
        inputs: vec![gate, InputSpec::new("up", dims)],
        run: run(|x| metal_candle_kernels::glu(&x[0], &x[1], Activation::Silu)),
        candle: candle::swiglu(),
        ..operation("swiglu", case, sizes_text(dims), json!({"dims": dims}))
    }
}

fn attention(case: &Case<ops::attention::cases::CaseShape>) -> Operation {
    let shape = &case.shape;
    let (q, k) = (shape.query_dims(), shape.key_dims());
    let causal = shape.causal;
    let scale = 1.0 / (shape.width as f64).sqrt();
    let name = format!("h{} kv{} {}x{} d{}", q[1], k[1], q[2], k[2], q[3]);
    Operation {
        inputs: vec![
            InputSpec::new("q", &q).of_size(2.0),
            InputSpec::new("k", &k).of_size(2.0),
            InputSpec::new("v", &k),
        ],
        run: run(move |x| {
            let mask = AttentionMask {
                causal,
                ..AttentionMask::default()
            };
            metal_candle_kernels::attention(&x[0], &x[1], &x[2], &mask, scale)
        }),
        candle: candle::attention(causal, scale),
        ..operation(
            "attention",
            case,
            name,
            json!({"q": q, "k": k, "causal": causal}),
        )
    }
}

fn linear_cross_entropy(case: &Case<ops::linear_cross_entropy::cases::CaseShape>) -> Operation {
    let shape = &case.shape;
    let (n, d, v) = (shape.rows, shape.width, shape.vocabulary);
    let targets = shape.targets();
    let trained = targets.iter().filter(|&&target| target >= 0).count();
    let name = format!("{} of {}", trained, sizes_text(&[n, d, v]));
    let sizes = json!({"rows": n, "width": d, "vocabulary": v, "targets": targets});
    let own_targets = targets.clone();
    Operation {
        // Logits as a trained head gives them: a few units wide.
        inputs: vec![
            InputSpec::new("hidden", &[n, d]).of_size(0.25),
            InputSpec::new("weight", &[v, d]).frozen(),
        ],
        run: run(move |x| {
            let targets = Tensor::new(&own_targets[..], x[0].device())?;
            metal_candle_kernels::linear_cross_entropy(&x[0], &x[1].clone().into(), &targets, None)
        }),
        candle: candle::linear_cross_entropy(targets),
        ..operation("linear_cross_entropy", case, name, sizes)
    }
}

/// Parameters and gradients are stacked; each is a tensor of its own in the step.
fn adamw(case: &Case<ops::adamw::cases::CaseShape>) -> Operation {
    let stacked = match &case.shape.dims[..] {
        [n, rows, columns] => [*n, *rows, *columns],
        other => [1, 1, other.iter().product()],
    };
    Operation {
        inputs: vec![
            InputSpec::new("parameters", &stacked).frozen(),
            InputSpec::new("gradients", &stacked).frozen(),
        ],
        run: adamw_steps(),
        truth: Some(Box::new(first_adamw_step)),
        candle: candle::adamw(),
        ..operation(
            "adamw",
            case,
            sizes_text(&case.shape.dims),
            json!({"dims": stacked}),
        )
    }
}

/// The tensors of a stack as variables.
pub fn variables(stacked: &Tensor) -> Result<Vec<Var>> {
    let n = stacked.dim(0)?;
    (0..n)
        .map(|i| Ok(Var::from_tensor(&stacked.get(i)?)?))
        .collect()
}

/// One step more at every run.
fn adamw_steps() -> Implementation {
    let state = RefCell::new(None);
    Box::new(move |x| {
        let mut state = state.borrow_mut();
        let state = match &mut *state {
            Some(state) => state,
            empty => empty.insert(Steps::begin(x)?),
        };
        state.step()
    })
}

/// Parameters on their way.
struct Steps {
    parameters: Vec<Var>,
    gradients: Vec<Tensor>,
    moments: Vec<Moments>,
    done: usize,
}

impl Steps {
    /// The state before the first step, of stacked parameters and gradients.
    fn begin(x: &[Tensor]) -> Result<Self> {
        let parameters = variables(&x[0])?;
        let moments = parameters.iter().map(|p| Moments::zeros_like(p));
        let gradients = (0..parameters.len()).map(|i| x[1].get(i));
        Ok(Self {
            moments: moments.collect::<metal_candle_kernels::Result<_>>()?,
            gradients: gradients.collect::<candle_core::Result<_>>()?,
            parameters,
            done: 0,
        })
    }

    /// Parameters after one step more.
    fn step(&mut self) -> Result<Vec<Tensor>> {
        self.done += 1;
        let tensors = self.parameters.iter().zip(&self.gradients);
        let updates = tensors.zip(&mut self.moments);
        let mut updates: Vec<Update<'_>> = updates
            .map(|((parameter, gradient), moments)| Update {
                parameter,
                gradient,
                moments,
            })
            .collect();
        adamw::step(&AdamW::default(), self.done, &mut updates)?;
        let parameters = self.parameters.iter();
        Ok(parameters.map(|p| p.as_detached_tensor()).collect())
    }
}

/// From moments of zero, whose corrections cancel: `p (1 - lr decay) - lr g / (|g| + eps)`.
fn first_adamw_step(x: &[Tensor]) -> Result<Vec<Tensor>> {
    let AdamW {
        lr,
        eps,
        weight_decay,
        ..
    } = AdamW::default();
    let step = (&x[1] / (x[1].abs()? + eps)?)?;
    let new = ((&x[0] * (1.0 - lr * weight_decay))? - (step * lr)?)?;
    Ok((0..new.dim(0)?)
        .map(|i| new.get(i))
        .collect::<candle_core::Result<_>>()?)
}
