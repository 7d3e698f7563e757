//! `MPSMatrix`: a view of a buffer.

use super::dtype::{get, put};
use super::matrix_descriptor::{Shape, SoftMatrixDescriptor};
use crate::buffer::SoftBuffer;
use crate::device::SoftDevice;
use crate::gpu::Access;
use crate::object::soft;
use crate::rules::{Rule, broken};
use objc2::rc::{Allocated, Retained};
use objc2::runtime::{NSObject, ProtocolObject};
use objc2::{DefinedClass, Message, define_class, msg_send};
use objc2_foundation::NSObjectProtocol;
use objc2_metal::{MTLBuffer, MTLDevice, MTLResourceOptions};
use objc2_metal_performance_shaders::{MPSDataType, MPSMatrixDescriptor};

#[derive(Clone)]
pub struct View {
    pub buffer: Retained<SoftBuffer>,
    pub offset: usize,
    pub shape: Shape,
}

impl View {
    fn address(&self, matrix: usize, row: usize, column: usize) -> usize {
        let s = &self.shape;
        self.buffer.ivars().address() + self.offset + matrix * s.matrix_bytes + row * s.row_bytes + column * s.width()
    }

    /// Indices must lie inside, which the callers check for their whole range when they encode.
    pub fn get(&self, matrix: usize, row: usize, column: usize) -> f64 {
        // SAFETY: the view was checked against its buffer, and keeps it alive.
        unsafe { get(self.address(matrix, row, column), self.shape.dtype) }
    }

    /// As [`View::get`].
    pub fn put(&self, matrix: usize, row: usize, column: usize, value: f64) {
        // SAFETY: as above.
        unsafe { put(self.address(matrix, row, column), self.shape.dtype, value) }
    }

    /// All of some matrices.
    pub fn access(&self, start: usize, matrices: usize, write: bool) -> Access {
        let offset = self.offset + start * self.shape.matrix_bytes;
        Access::new(self.buffer.clone(), offset, self.shape.span(matrices), write)
    }
}

define_class!(
    #[unsafe(super(NSObject))]
    #[name = "MPSMatrix"]
    #[ivars = View]
    pub struct SoftMatrix;

    unsafe impl NSObjectProtocol for SoftMatrix {}

    impl SoftMatrix {
        #[unsafe(method_id(initWithBuffer:descriptor:))]
        fn init(this: Allocated<Self>, buffer: &ProtocolObject<dyn MTLBuffer>, descriptor: &MPSMatrixDescriptor) -> Option<Retained<Self>> {
            init(this, soft::<SoftBuffer, _>(buffer), 0, descriptor)
        }

        #[unsafe(method_id(initWithBuffer:offset:descriptor:))]
        fn init_at(this: Allocated<Self>, buffer: &ProtocolObject<dyn MTLBuffer>, offset: usize, descriptor: &MPSMatrixDescriptor) -> Option<Retained<Self>> {
            init(this, soft::<SoftBuffer, _>(buffer), offset, descriptor)
        }

        #[unsafe(method_id(initWithDevice:descriptor:))]
        fn init_own(this: Allocated<Self>, device: &ProtocolObject<dyn MTLDevice>, descriptor: &MPSMatrixDescriptor) -> Option<Retained<Self>> {
            let shape = soft::<SoftMatrixDescriptor, _>(descriptor).ivars();
            let device = soft::<SoftDevice, _>(device);
            let buffer = SoftBuffer::new(device, shape.span(shape.matrices), MTLResourceOptions::StorageModeShared);
            init(this, &buffer, 0, descriptor)
        }

        #[unsafe(method(rows))]
        fn rows(&self) -> usize {
            self.ivars().shape.rows
        }

        #[unsafe(method(columns))]
        fn columns(&self) -> usize {
            self.ivars().shape.columns
        }

        #[unsafe(method(matrices))]
        fn matrices(&self) -> usize {
            self.ivars().shape.matrices
        }

        #[unsafe(method(rowBytes))]
        fn row_bytes(&self) -> usize {
            self.ivars().shape.row_bytes
        }

        #[unsafe(method(matrixBytes))]
        fn matrix_bytes(&self) -> usize {
            self.ivars().shape.matrix_bytes
        }

        #[unsafe(method(offset))]
        fn offset(&self) -> usize {
            self.ivars().offset
        }

        #[unsafe(method(dataType))]
        fn data_type(&self) -> MPSDataType {
            self.ivars().shape.dtype
        }

        #[unsafe(method_id(data))]
        fn data(&self) -> Retained<ProtocolObject<dyn MTLBuffer>> {
            ProtocolObject::from_retained(self.ivars().buffer.clone())
        }
    }
);

fn init(
    this: Allocated<SoftMatrix>,
    buffer: &SoftBuffer,
    offset: usize,
    descriptor: &MPSMatrixDescriptor,
) -> Option<Retained<SoftMatrix>> {
    let shape = *soft::<SoftMatrixDescriptor, _>(descriptor).ivars();
    let v = buffer.ivars();
    let end = offset + shape.span(shape.matrices);
    if !offset.is_multiple_of(shape.width()) || end > v.len {
        broken(
            Rule::MatrixRange,
            &v.name,
            format!("MPSMatrix at offset {offset}: {end} bytes are needed, it has {}", v.len),
        );
    }
    let this = this.set_ivars(View { buffer: buffer.retain(), offset, shape });
    unsafe { msg_send![super(this), init] }
}
