//! The only adaptor to candle's graph, whose own operations have three inputs at most and one output.
//!
//! A node becomes as many of candle's as it takes. One output of up to three tracked inputs is one
//! node. More inputs are tied together first, three at a time, by nodes whose value stands for
//! nothing. Several outputs hang on such a node, too:
//!
//! ```text
//! x1 x2 x3 -> tie, x4, x5 -> core -> y1
//!                                 -> y2
//! ```
//!
//! candle walks in reverse: it comes to the core after all outputs, which have left their upstream
//! gradients, and to the ties after the core, which leaves them the gradients of the inputs.

use super::{Node, Value, pull_back};
use crate::Result;
use candle_core::backprop::GradStore;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, CustomOp3, Layout, MetalStorage,
    Result as CandleResult, Shape, Storage, Tensor,
};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Inputs of one of candle's nodes at most.
const MOST: usize = 3;

/// `values`, the outputs of `node`, as tensors of the graph.
pub(crate) fn attach(node: &Arc<dyn Node>, values: Vec<Value>) -> Result<Vec<Tensor>> {
    let shared = Arc::new(Shared {
        node: node.clone(),
        outputs: OnceLock::new(),
        pass: Mutex::new(Pass::new(values.len())),
    });
    let mut args = tracked(node.inputs());
    while args.len() > MOST {
        let rest = args.split_off(MOST);
        args = vec![shared.place(&args, stand_in(&args[0])?, Role::Tie)?];
        args.extend(rest);
    }
    let outputs = match <[Value; 1]>::try_from(values) {
        Ok([value]) => vec![shared.place(&args, value, Role::Whole)?],
        Err(values) => {
            let core = shared.place(&args, stand_in(&args[0])?, Role::Core)?;
            let outputs = values.into_iter().enumerate();
            let output =
                |(i, value)| shared.place(std::slice::from_ref(&core), value, Role::Output(i));
            outputs.map(output).collect::<CandleResult<_>>()?
        }
    };
    // Detached, they do not hold the nodes that hold them.
    let _ = shared
        .outputs
        .set(outputs.iter().map(Tensor::detach).collect());
    Ok(outputs)
}

/// The inputs that have gradients, each once.
fn tracked(inputs: &[Tensor]) -> Vec<Tensor> {
    let mut distinct: Vec<Tensor> = vec![];
    for input in inputs.iter().filter(|input| input.track_op()) {
        if distinct.iter().all(|other| other.id() != input.id()) {
            distinct.push(input.clone());
        }
    }
    distinct
}

/// A scalar on the device of `like` that is never read; on a GPU, in memory that is there.
pub(crate) fn stand_in(like: &Tensor) -> CandleResult<Value> {
    let shape = Shape::from(());
    Ok(match &*like.storage_and_layout().0 {
        Storage::Cpu(_) => Value::cpu(CpuStorage::F32(vec![0.0]), shape),
        other => Value::new(other.try_clone(&Layout::contiguous(&shape))?, shape),
    })
}

/// State that the parts of one node share.
struct Shared {
    node: Arc<dyn Node>,
    outputs: OnceLock<Vec<Tensor>>,
    pass: Mutex<Pass>,
}

/// Gradients that backward has come to.
struct Pass {
    /// Gradients of the outputs, of those that candle was at.
    upstream: Vec<Option<Tensor>>,
    /// Gradients of the inputs that candle was not at yet.
    gradients: GradStore,
}

impl Pass {
    fn new(outputs: usize) -> Self {
        Self {
            upstream: vec![None; outputs],
            gradients: GradStore::default(),
        }
    }
}

impl Shared {
    /// `value` in the graph, above `args`.
    fn place(self: &Arc<Self>, args: &[Tensor], value: Value, role: Role) -> CandleResult<Tensor> {
        let shared = self.clone();
        let value = Mutex::new(Some(value));
        let part = Part {
            shared,
            value,
            role,
        };
        match args {
            [a] => a.apply_op1(part),
            [a, b] => a.apply_op2(b, part),
            [a, b, c] => a.apply_op3(b, c, part),
            _ => candle_core::bail!("{} inputs at once", args.len()),
        }
    }

    fn backward(&self, pass: &mut Pass) -> Result<()> {
        let outputs = self.outputs.get().map_or(&[][..], Vec::as_slice);
        let Pass { upstream, .. } = std::mem::replace(pass, Pass::new(outputs.len()));
        pull_back(&*self.node, outputs, &upstream, &mut pass.gradients)
    }
}

/// One of candle's nodes.
struct Part {
    shared: Arc<Shared>,
    /// Computed before, and handed over once.
    value: Mutex<Option<Value>>,
    role: Role,
}

enum Role {
    /// The only output, over all inputs.
    Whole,
    /// Inputs tied together.
    Tie,
    /// All inputs, below the outputs.
    Core,
    /// One of several outputs, over the core.
    Output(usize),
}

impl Part {
    fn take(&self) -> CandleResult<(Storage, Shape)> {
        match lock(&self.value).take() {
            Some(Value { storage, shape }) => Ok((storage, shape)),
            None => {
                candle_core::bail!("{}: its value was asked for twice", self.shared.node.name())
            }
        }
    }

    /// The gradients of `args`. That of a tie or a core is a scalar that is never read: itself.
    fn backward<const N: usize>(
        &self,
        args: [&Tensor; N],
        gradient: &Tensor,
    ) -> CandleResult<[Tensor; N]> {
        let mut pass = lock(&self.shared.pass);
        if let Some(output) = self.role.output() {
            pass.upstream[output] = Some(gradient.clone());
        }
        if let Role::Whole | Role::Core = self.role {
            self.shared.backward(&mut pass)?;
        }
        let mut gradient = |arg| pass.gradients.remove(arg);
        Ok(args.map(|arg| gradient(arg).unwrap_or_else(|| arg.detach())))
    }
}

impl Role {
    fn output(&self) -> Option<usize> {
        match *self {
            Self::Whole => Some(0),
            Self::Output(i) => Some(i),
            Self::Tie | Self::Core => None,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The value of a [`Part`], which lies on this device.
macro_rules! handed_over {
    ($part:ident, $device:ident) => {
        match $part.take()? {
            (Storage::$device(storage), shape) => Ok((storage, shape)),
            _ => candle_core::bail!(
                "{}: its inputs lie on several devices",
                $part.shared.node.name()
            ),
        }
    };
}

macro_rules! custom_op {
    ($op:ident -> $gradients:ty: $($any:tt $arg:ident),*) => {
        impl $op for Part {
            fn name(&self) -> &'static str {
                self.shared.node.name()
            }

            fn cpu_fwd(
                &self,
                $($any: &CpuStorage, $any: &Layout),*
            ) -> CandleResult<(CpuStorage, Shape)> {
                handed_over!(self, Cpu)
            }

            fn cuda_fwd(
                &self,
                $($any: &CudaStorage, $any: &Layout),*
            ) -> CandleResult<(CudaStorage, Shape)> {
                handed_over!(self, Cuda)
            }

            fn metal_fwd(
                &self,
                $($any: &MetalStorage, $any: &Layout),*
            ) -> CandleResult<(MetalStorage, Shape)> {
                handed_over!(self, Metal)
            }

            fn bwd(
                &self,
                $($arg: &Tensor,)*
                _: &Tensor,
                gradient: &Tensor,
            ) -> CandleResult<$gradients> {
                let [$($arg),*] = self.backward([$($arg),*], gradient)?;
                Ok(($(Some($arg)),*))
            }
        }
    };
}

type Gradient = Option<Tensor>;

custom_op!(CustomOp1 -> Gradient: _ a);
custom_op!(CustomOp2 -> (Gradient, Gradient): _ a, _ b);
custom_op!(CustomOp3 -> (Gradient, Gradient, Gradient): _ a, _ b, _ c);
