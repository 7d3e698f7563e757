//! `MPSMatrixSoftMax` and `MPSMatrixLogSoftMax`: over the columns of each row.

use super::matrix::{SoftMatrix, View};
use super::{encode, kernel_class};
use crate::gpu::lock;
use crate::object::soft;
use crate::rules::{Rule, broken};
use objc2::rc::{Allocated, Retained};
use objc2::runtime::ProtocolObject;
use objc2::{DefinedClass, msg_send};
use objc2_foundation::NSObjectProtocol;
use objc2_metal::{MTLCommandBuffer, MTLDevice, MTLOrigin};
use objc2_metal_performance_shaders::{MPSDataType, MPSMatrix};
use std::sync::Mutex;

pub struct Ivars(Mutex<Region>);

/// The part of the matrices that is worked on; by default all of the source.
#[derive(Clone, Copy)]
struct Region {
    rows: usize,
    columns: usize,
    source: (usize, usize),
    result: (usize, usize),
    batch_start: usize,
    batch_size: usize,
}

const ALL: Region = Region {
    rows: usize::MAX,
    columns: usize::MAX,
    source: (0, 0),
    result: (0, 0),
    batch_start: 0,
    batch_size: usize::MAX,
};

macro_rules! softmax_class {
    ($class:ident, $name:literal, $log:literal) => {
        kernel_class!($class, $name, Ivars, {
            #[unsafe(method_id(initWithDevice:))]
            fn init(this: Allocated<Self>, _device: &ProtocolObject<dyn MTLDevice>) -> Option<Retained<Self>> {
                let this = this.set_ivars(Ivars(Mutex::new(ALL)));
                unsafe { msg_send![super(this), init] }
            }

            #[unsafe(method(setSourceRows:))]
            fn set_rows(&self, n: usize) {
                lock(&self.ivars().0).rows = n;
            }

            #[unsafe(method(setSourceColumns:))]
            fn set_columns(&self, n: usize) {
                lock(&self.ivars().0).columns = n;
            }

            #[unsafe(method(setSourceMatrixOrigin:))]
            fn set_source_origin(&self, o: MTLOrigin) {
                lock(&self.ivars().0).source = (o.x, o.y);
            }

            #[unsafe(method(setResultMatrixOrigin:))]
            fn set_result_origin(&self, o: MTLOrigin) {
                lock(&self.ivars().0).result = (o.x, o.y);
            }

            #[unsafe(method(setBatchStart:))]
            fn set_batch_start(&self, n: usize) {
                lock(&self.ivars().0).batch_start = n;
            }

            #[unsafe(method(setBatchSize:))]
            fn set_batch_size(&self, n: usize) {
                lock(&self.ivars().0).batch_size = n;
            }

            #[unsafe(method(encodeToCommandBuffer:inputMatrix:resultMatrix:))]
            fn encode(&self, commands: &ProtocolObject<dyn MTLCommandBuffer>, input: &MPSMatrix, result: &MPSMatrix) {
                let region = *lock(&self.ivars().0);
                let views = [input, result].map(|m| soft::<SoftMatrix, _>(m).ivars().clone());
                let region = fitted(region, &views, $name);
                let (start, n) = (region.batch_start, region.batch_size);
                let accesses = vec![views[0].access(start, n, false), views[1].access(start, n, true)];
                encode(
                    commands,
                    $name,
                    accesses,
                    Box::new(move || {
                        run(&region, &views, $log);
                        Ok(())
                    }),
                );
            }
        });
    };
}

softmax_class!(SoftSoftMax, "MPSMatrixSoftMax", false);
softmax_class!(SoftLogSoftMax, "MPSMatrixLogSoftMax", true);

/// The region with its sizes known, if it fits both matrices.
fn fitted(mut r: Region, [source, result]: &[View; 2], name: &str) -> Region {
    let (s, t) = (&source.shape, &result.shape);
    if s.dtype != t.dtype || s.dtype == MPSDataType::BFloat16 {
        broken(Rule::DataType, name, format!("{:#x} -> {:#x}", s.dtype.0, t.dtype.0));
    }
    let matrices = s.matrices.min(t.matrices);
    r.rows = r.rows.min(s.rows.saturating_sub(r.source.0));
    r.columns = r.columns.min(s.columns.saturating_sub(r.source.1));
    r.batch_size = r.batch_size.min(matrices.saturating_sub(r.batch_start));
    let fits = r.result.0 + r.rows <= t.rows && r.result.1 + r.columns <= t.columns;
    if !fits || r.rows * r.columns * r.batch_size == 0 {
        let (rows, columns) = (r.rows, r.columns);
        let place = format!("{rows}x{columns} at {:?} of a result of {}x{}", r.result, t.rows, t.columns);
        broken(Rule::OperandShape, name, place);
    }
    r
}

fn run(r: &Region, [source, result]: &[View; 2], log: bool) {
    for m in r.batch_start..r.batch_start + r.batch_size {
        for row in 0..r.rows {
            let x: Vec<f64> = (0..r.columns).map(|c| source.get(m, r.source.0 + row, r.source.1 + c)).collect();
            let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = x.iter().map(|v| (v - max).exp()).sum();
            for (c, v) in x.iter().enumerate() {
                let y = if log { v - max - sum.ln() } else { (v - max).exp() / sum };
                result.put(m, r.result.0 + row, r.result.1 + c, y);
            }
        }
    }
}
