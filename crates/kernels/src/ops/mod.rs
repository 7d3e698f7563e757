//! One operation, one folder.

pub mod adamw;
pub mod attention;
pub mod clamped_glu;
#[cfg(any(test, feature = "testkit"))]
pub mod elementwise;
pub mod experts;
pub mod glu;
pub mod linear;
pub mod linear_cross_entropy;
pub mod linears;
pub mod lora_linear;
pub mod matmul;
pub mod most_likely;
pub mod rms_norm;
pub mod rope;
pub mod routing;
pub mod softcap;
pub mod softmax;
pub mod squares;
mod wide;

pub(crate) use wide::wide;

/// Check of an operation on a device.
#[cfg(any(test, feature = "testkit"))]
pub type Check = fn(&candle_core::Device) -> Result<(), crate::testkit::Failure>;

/// The checks of all operations, by name.
#[cfg(any(test, feature = "testkit"))]
pub const CHECKS: &[(&str, Check)] = &[
    ("adamw", adamw::check::check),
    ("attention", attention::check::check),
    ("clamped_glu", clamped_glu::check::check),
    ("elementwise", elementwise::check::check),
    ("experts", experts::check::check),
    ("glu", glu::check::check),
    ("linear", linear::check::check),
    ("linear_cross_entropy", linear_cross_entropy::check::check),
    ("linears", linears::check::check),
    ("lora_linear", lora_linear::check::check),
    ("matmul", matmul::check::check),
    ("most_likely", most_likely::check::check),
    ("rms_norm", rms_norm::check::check),
    ("rope", rope::check::check),
    ("routing", routing::check::check),
    ("softcap", softcap::check::check),
    ("softmax", softmax::check::check),
    ("squares", squares::check::check),
];

#[cfg(test)]
mod tests {
    use super::glu::Activation;
    use super::rope::RopePairs;
    use crate::case::plain;
    use crate::testkit::{Array, Problem, check};
    use candle_core::{DType, Device, Var};

    /// f64 has no kernels: the references keep it.
    #[test]
    fn every_operation_takes_f64() {
        macro_rules! check_f64 {
            ($($op:ident),*) => {$(
                for case in super::$op::cases::small().iter().step_by(9) {
                    let problem = super::$op::check::problem(case);
                    check(&problem, DType::F64, &Device::Cpu).unwrap();
                }
            )*};
        }
        check_f64!(
            attention,
            experts,
            glu,
            linear_cross_entropy,
            lora_linear,
            matmul
        );
        check_f64!(rms_norm, rope, routing, softcap, softmax);
    }

    /// Tests small enough for an interpreter that checks every access to memory: all dtypes and
    /// layouts, a row of several registers with a rest, and, where that interpreter runs, several
    /// threads.
    macro_rules! tiny {
        ($($test:ident: $op:ident { $($field:ident: $value:expr),* };)*) => {$(
            #[test]
            fn $test() {
                let shape = super::$op::cases::CaseShape { $($field: $value),* };
                for case in crate::case::small([shape]) {
                    let problem = super::$op::check::problem(&case);
                    crate::testkit::agree(&problem, case.dtype, &Device::Cpu).unwrap();
                }
            }
        )*};
    }

    tiny! {
        tiny_softmax: softmax { dims: vec![4, 19] };
        tiny_rms_norm: rms_norm { dims: vec![4, 19] };
        tiny_swiglu: glu { dims: vec![4, 19], activation: Activation::Silu };
        tiny_geglu: glu { dims: vec![4, 19], activation: Activation::GeluTanh };
        tiny_rope: rope {
            batch: 2, heads: 2, tokens: 2, width: 22, rotated: 22, table_per_row: true,
            pairs: RopePairs::Halves
        };
        tiny_interleaved_rope: rope {
            batch: 2, heads: 2, tokens: 2, width: 23, rotated: 22, table_per_row: true,
            pairs: RopePairs::Interleaved
        };
    }

    /// Result and gradients of the operation on `threads` threads.
    fn numbers(problem: &Problem, threads: usize) -> Vec<Array> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| {
            let tensors = problem.tensors(DType::F32, &Device::Cpu).unwrap();
            let vars: Vec<Var> = tensors
                .iter()
                .map(|t| Var::from_tensor(t).unwrap())
                .collect();
            let inputs: Vec<_> = vars.iter().map(|v| v.as_tensor().clone()).collect();
            let y = problem.implementations()[0].1(&inputs).unwrap();
            let grads = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let grads = vars.iter().filter_map(|v| grads.get(v).cloned());
            let all = grads.chain([y]);
            all.map(|t| Array::from_tensor(&t).unwrap()).collect()
        })
    }

    #[test]
    fn no_bit_depends_on_the_number_of_threads() {
        macro_rules! same_bits {
            ($op:ident: $($field:ident = $value:expr),* $(,)?) => {{
                let shape = super::$op::cases::CaseShape { $($field: $value),* };
                let problem = super::$op::check::problem(&plain(shape));
                let one = numbers(&problem, 1);
                for threads in [2, 3, 11] {
                    let same = one == numbers(&problem, threads);
                    assert!(same, "{} on {threads} threads", stringify!($op));
                }
            }};
        }
        same_bits!(softmax: dims = vec![300, 700]);
        same_bits!(rms_norm: dims = vec![300, 700]);
        same_bits!(glu: dims = vec![300, 700], activation = Activation::Silu);
        same_bits!(rope:
            batch = 1, heads = 3, tokens = 400, width = 64, rotated = 64, table_per_row = false,
            pairs = RopePairs::Halves,
        );
        same_bits!(attention:
            batch = 1, heads = 4, kv_heads = 2, queries = 200, keys = 200, width = 32,
            causal = true, window = Some(150), spans = vec![], softcap = Some(2.0), sinks = true,
        );
        same_bits!(lora_linear:
            lead = vec![200], inputs = 300, outputs = 500, rank = 8, bias = true, dropout = 0.1,
            weight_dtype = None, packing = None,
        );
        same_bits!(lora_linear:
            lead = vec![600], inputs = 700, outputs = 900, rank = 12, bias = false, dropout = 0.0,
            weight_dtype = None, packing = None,
        );
        same_bits!(linear_cross_entropy:
            rows = 200, width = 100, vocabulary = 3000, trained_every = 1, packing = None,
            softcap = Some(1.0),
        );
    }
}
