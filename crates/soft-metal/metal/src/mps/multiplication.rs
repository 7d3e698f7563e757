//! `MPSMatrixMultiplication`: C = alpha op(A) op(B) + beta C.

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

const NAME: &str = "MPSMatrixMultiplication";

pub struct Ivars {
    product: Product,
    batch_start: Mutex<usize>,
    batch_size: Mutex<usize>,
    /// Row and column where the left, the right and the result matrix begin.
    origins: Mutex<[(usize, usize); 3]>,
}

/// What is baked in when the kernel is made.
#[derive(Clone, Copy)]
struct Product {
    transposed: [bool; 2],
    rows: usize,
    columns: usize,
    interior: usize,
    alpha: f64,
    beta: f64,
}

kernel_class!(SoftMultiplication, "MPSMatrixMultiplication", Ivars, {
    #[unsafe(method_id(initWithDevice:transposeLeft:transposeRight:resultRows:resultColumns:interiorColumns:alpha:beta:))]
    fn init(
        this: Allocated<Self>,
        _device: &ProtocolObject<dyn MTLDevice>,
        left: bool,
        right: bool,
        rows: usize,
        columns: usize,
        interior: usize,
        alpha: f64,
        beta: f64,
    ) -> Option<Retained<Self>> {
        init(this, Product { transposed: [left, right], rows, columns, interior, alpha, beta })
    }

    #[unsafe(method_id(initWithDevice:resultRows:resultColumns:interiorColumns:))]
    fn init_plain(
        this: Allocated<Self>,
        _device: &ProtocolObject<dyn MTLDevice>,
        rows: usize,
        columns: usize,
        interior: usize,
    ) -> Option<Retained<Self>> {
        init(this, Product { transposed: [false; 2], rows, columns, interior, alpha: 1.0, beta: 0.0 })
    }

    #[unsafe(method(setBatchStart:))]
    fn set_batch_start(&self, n: usize) {
        *lock(&self.ivars().batch_start) = n;
    }

    #[unsafe(method(setBatchSize:))]
    fn set_batch_size(&self, n: usize) {
        *lock(&self.ivars().batch_size) = n;
    }

    #[unsafe(method(setLeftMatrixOrigin:))]
    fn set_left_origin(&self, o: MTLOrigin) {
        lock(&self.ivars().origins)[0] = (o.x, o.y);
    }

    #[unsafe(method(setRightMatrixOrigin:))]
    fn set_right_origin(&self, o: MTLOrigin) {
        lock(&self.ivars().origins)[1] = (o.x, o.y);
    }

    #[unsafe(method(setResultMatrixOrigin:))]
    fn set_result_origin(&self, o: MTLOrigin) {
        lock(&self.ivars().origins)[2] = (o.x, o.y);
    }

    #[unsafe(method(encodeToCommandBuffer:leftMatrix:rightMatrix:resultMatrix:))]
    fn encode(
        &self,
        commands: &ProtocolObject<dyn MTLCommandBuffer>,
        left: &MPSMatrix,
        right: &MPSMatrix,
        result: &MPSMatrix,
    ) {
        let views = [left, right, result].map(|m| soft::<SoftMatrix, _>(m).ivars().clone());
        let call = self.call(views);
        let [a, b, c] = &call.views;
        let (start, n) = (call.start, call.matrices);
        let mut accesses = vec![a.access(start, n, false), b.access(start, n, false)];
        if call.product.beta != 0.0 {
            accesses.push(c.access(start, n, false));
        }
        accesses.push(c.access(start, n, true));
        encode(
            commands,
            NAME,
            accesses,
            Box::new(move || {
                call.run();
                Ok(())
            }),
        );
    }
});

fn init(this: Allocated<SoftMultiplication>, product: Product) -> Option<Retained<SoftMultiplication>> {
    if product.rows * product.columns * product.interior == 0 {
        broken(Rule::EmptyMatrix, NAME, format!("{}x{}x{}", product.rows, product.columns, product.interior));
    }
    let (batch_start, batch_size) = (Mutex::new(0), Mutex::new(usize::MAX));
    let this = this.set_ivars(Ivars { product, batch_start, batch_size, origins: Mutex::default() });
    unsafe { msg_send![super(this), init] }
}

impl SoftMultiplication {
    /// What is encoded now: the properties are copied, the operands checked.
    fn call(&self, views: [View; 3]) -> Call {
        let v = self.ivars();
        check_types(&views);
        let (start, size) = (*lock(&v.batch_start), *lock(&v.batch_size));
        let matrices = views.iter().map(|m| m.shape.matrices).min().unwrap_or(0);
        if start >= matrices {
            broken(Rule::OperandShape, NAME, format!("batchStart {start} of {matrices} matrices"));
        }
        let call =
            Call { product: v.product, views, origins: *lock(&v.origins), start, matrices: size.min(matrices - start) };
        call.check_shapes();
        call
    }
}

/// Which types MPS multiplies: f32 and f16 in any mixture, where the result is at least as wide; never bf16.
fn check_types(views: &[View; 3]) {
    let types = views.each_ref().map(|m| m.shape.dtype);
    let wide = |t| t == MPSDataType::Float32;
    let known = types.iter().all(|t| wide(*t) || *t == MPSDataType::Float16);
    if !known || ((wide(types[0]) || wide(types[1])) && !wide(types[2])) {
        broken(Rule::DataType, NAME, format!("{:#x} x {:#x} -> {:#x}", types[0].0, types[1].0, types[2].0));
    }
}

struct Call {
    product: Product,
    views: [View; 3],
    origins: [(usize, usize); 3],
    start: usize,
    matrices: usize,
}

impl Call {
    fn check_shapes(&self) {
        let p = &self.product;
        let flip = |yes: bool, (r, c): (usize, usize)| if yes { (c, r) } else { (r, c) };
        let needed = [
            flip(p.transposed[0], (p.rows, p.interior)),
            flip(p.transposed[1], (p.interior, p.columns)),
            (p.rows, p.columns),
        ];
        for (i, which) in ["left", "right", "result"].into_iter().enumerate() {
            let ((r, c), (or, oc), s) = (needed[i], self.origins[i], &self.views[i].shape);
            if or + r > s.rows || oc + c > s.columns {
                let place = format!("{which} matrix is {}x{}, {r}x{c} at {:?} is needed", s.rows, s.columns, (or, oc));
                broken(Rule::OperandShape, NAME, place);
            }
        }
    }

    fn run(&self) {
        let p = &self.product;
        let (or, oc) = self.origins[2];
        for m in self.start..self.start + self.matrices {
            for row in 0..p.rows {
                for column in 0..p.columns {
                    let old = if p.beta == 0.0 { 0.0 } else { p.beta * self.views[2].get(m, or + row, oc + column) };
                    self.views[2].put(m, or + row, oc + column, p.alpha * self.dot(m, row, column) + old);
                }
            }
        }
    }

    fn dot(&self, m: usize, row: usize, column: usize) -> f64 {
        let element = |i: usize, r: usize, c: usize| {
            let (r, c) = if self.product.transposed[i] { (c, r) } else { (r, c) };
            self.views[i].get(m, self.origins[i].0 + r, self.origins[i].1 + c)
        };
        (0..self.product.interior).map(|k| element(0, row, k) * element(1, k, column)).sum()
    }
}
