//! `MPSNDArrayMatrixMultiplication`: D = alpha A B + beta C over dimensions 0 (columns) and 1 (rows); the others are
//! batches, broadcast where they have one element.

use super::array::{SoftNDArray, View};
use super::{encode, kernel_class};
use crate::counts;
use crate::encoder::SoftCompute;
use crate::foundation::SoftArray;
use crate::gpu::{Access, Command, lock};
use crate::object::soft;
use crate::rules::{Rule, broken};
use objc2::rc::{Allocated, Retained};
use objc2::runtime::ProtocolObject;
use objc2::{DefinedClass, msg_send};
use objc2_foundation::{NSArray, NSObjectProtocol};
use objc2_metal::{MTLCommandBuffer, MTLComputeCommandEncoder, MTLDevice};
use objc2_metal_performance_shaders::MPSNDArray;
use std::sync::Mutex;

const NAME: &str = "MPSNDArrayMatrixMultiplication";

/// Rows, columns, and two dimensions of batches.
const RANK: usize = 4;

pub struct Ivars {
    sources: usize,
    factors: Mutex<(f64, f64)>,
}

kernel_class!(SoftArrayMultiplication, "MPSNDArrayMatrixMultiplication", Ivars, {
    #[unsafe(method_id(initWithDevice:sourceCount:))]
    fn init(this: Allocated<Self>, _device: &ProtocolObject<dyn MTLDevice>, sources: usize) -> Option<Retained<Self>> {
        if !(2..=3).contains(&sources) {
            broken(Rule::OperandShape, NAME, format!("{sources} sources"));
        }
        let this = this.set_ivars(Ivars { sources, factors: Mutex::new((1.0, 1.0)) });
        unsafe { msg_send![super(this), init] }
    }

    #[unsafe(method(alpha))]
    fn alpha(&self) -> f64 {
        lock(&self.ivars().factors).0
    }

    #[unsafe(method(setAlpha:))]
    fn set_alpha(&self, alpha: f64) {
        lock(&self.ivars().factors).0 = alpha;
    }

    #[unsafe(method(beta))]
    fn beta(&self) -> f64 {
        lock(&self.ivars().factors).1
    }

    #[unsafe(method(setBeta:))]
    fn set_beta(&self, beta: f64) {
        lock(&self.ivars().factors).1 = beta;
    }

    #[unsafe(method(encodeToCommandBuffer:sourceArrays:destinationArray:))]
    fn encode(
        &self,
        commands: &ProtocolObject<dyn MTLCommandBuffer>,
        sources: &NSArray<MPSNDArray>,
        destination: &MPSNDArray,
    ) {
        self.call(sources, destination).encode_alone(commands);
    }

    /// Into an encoder of the caller's, which can therefore wait for fences.
    #[unsafe(method(encodeToCommandEncoder:commandBuffer:sourceArrays:destinationArray:))]
    fn encode_to_encoder(
        &self,
        encoder: Option<&ProtocolObject<dyn MTLComputeCommandEncoder>>,
        commands: &ProtocolObject<dyn MTLCommandBuffer>,
        sources: &NSArray<MPSNDArray>,
        destination: &MPSNDArray,
    ) {
        let call = self.call(sources, destination);
        let Some(encoder) = encoder else { return call.encode_alone(commands) };
        let encoder = soft::<SoftCompute, _>(encoder).ivars();
        if !std::ptr::eq(encoder.command_buffer(), &*super::command_buffer::root(commands)) {
            broken(Rule::OperandShape, NAME, "the encoder belongs to another command buffer");
        }
        let accesses = call.accesses();
        counts::by_mps(NAME, &accesses);
        let work = Box::new(move || {
            call.run();
            Ok(())
        });
        encoder.push(NAME, Command::Run { what: NAME.into(), accesses, work });
    }
});

impl SoftArrayMultiplication {
    fn call(&self, sources: &NSArray<MPSNDArray>, destination: &MPSNDArray) -> Call {
        let v = self.ivars();
        let sources: Vec<View> = soft::<SoftArray, _>(sources)
            .ivars()
            .iter()
            .map(|o| soft::<SoftNDArray, _>(&**o).ivars().clone())
            .collect();
        if sources.len() != v.sources {
            broken(Rule::OperandShape, NAME, format!("{} sources, made for {}", sources.len(), v.sources));
        }
        let (alpha, beta) = *lock(&v.factors);
        let call = Call { sources, destination: soft::<SoftNDArray, _>(destination).ivars().clone(), alpha, beta };
        call.check();
        call
    }
}

struct Call {
    sources: Vec<View>,
    destination: View,
    alpha: f64,
    beta: f64,
}

impl Call {
    fn check(&self) {
        let (a, b, d) = (&self.sources[0], &self.sources[1], &self.destination);
        let inner = a.len(0) == b.len(1) && a.len(1) == d.len(1) && b.len(0) == d.len(0);
        let fits = |s: &View, i: usize| s.len(i) == d.len(i) || s.len(i) == 1;
        let batches = (2..RANK).all(|i| self.sources.iter().all(|s| fits(s, i)));
        let third = self.sources.get(2).is_none_or(|c| (0..2).all(|i| fits(c, i)));
        if !(inner && batches && third) {
            let sizes = |v: &View| (0..RANK).map(|i| v.len(i).to_string()).collect::<Vec<_>>().join("x");
            broken(Rule::OperandShape, NAME, format!("{} by {} into {}", sizes(a), sizes(b), sizes(d)));
        }
        if self.sources.iter().any(|s| s.dtype != d.dtype) {
            broken(Rule::DataType, NAME, format!("sources that are not {:#x}, as the destination", d.dtype.0));
        }
    }

    fn accesses(&self) -> Vec<Access> {
        let reads = self.sources.iter().map(|s| s.access(false));
        reads.chain([self.destination.access(true)]).collect()
    }

    fn encode_alone(self, commands: &ProtocolObject<dyn MTLCommandBuffer>) {
        let accesses = self.accesses();
        let work = Box::new(move || {
            self.run();
            Ok(())
        });
        encode(commands, NAME, accesses, work);
    }

    fn run(&self) {
        let d = &self.destination;
        for b1 in 0..d.len(3) {
            for b0 in 0..d.len(2) {
                for row in 0..d.len(1) {
                    for column in 0..d.len(0) {
                        d.put(&[column, row, b0, b1], self.element(column, row, b0, b1));
                    }
                }
            }
        }
    }

    fn element(&self, column: usize, row: usize, b0: usize, b1: usize) -> f64 {
        let (a, b) = (&self.sources[0], &self.sources[1]);
        let dot: f64 = (0..a.len(0)).map(|k| a.get(&[k, row, b0, b1]) * b.get(&[column, k, b0, b1])).sum();
        let third = self.sources.get(2).map_or(0.0, |c| self.beta * c.get(&[column, row, b0, b1]));
        self.alpha * dot + third
    }
}
