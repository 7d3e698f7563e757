//! Metal Performance Shaders: matrices, arrays, and the kernels between them, computed in f64 and rounded once.

mod array;
mod array_descriptor;
mod array_multiplication;
mod command_buffer;
mod dtype;
mod matrix;
mod matrix_descriptor;
mod multiplication;
mod softmax;

use crate::command_buffer::SoftCommandBuffer;
use crate::counts;
use crate::gpu::{Access, Command, Op, Pass, Work};
use crate::rules::Rule;
use objc2::rc::Retained;
use objc2::runtime::{Bool, ProtocolObject};
use objc2::{ClassType, DefinedClass};
use objc2_metal::{MTLCommandBuffer, MTLDevice};

#[unsafe(no_mangle)]
pub extern "C-unwind" fn MPSSupportsMTLDevice(device: Option<&ProtocolObject<dyn MTLDevice>>) -> Bool {
    Bool::new(device.is_some())
}

/// What every kernel answers.
macro_rules! kernel_class {
    ($class:ident, $name:literal, $ivars:ty, { $($methods:tt)* }) => {
        objc2::define_class!(
            #[unsafe(super(objc2::runtime::NSObject))]
            #[name = $name]
            #[ivars = $ivars]
            pub struct $class;

            unsafe impl NSObjectProtocol for $class {}

            impl $class {
                #[unsafe(method(setLabel:))]
                fn set_label(&self, _label: Option<&objc2_foundation::NSString>) {}

                #[unsafe(method(setOptions:))]
                fn set_options(&self, _options: objc2_metal_performance_shaders::MPSKernelOptions) {}

                $($methods)*
            }
        );
    };
}
pub(crate) use kernel_class;

/// A kernel in a pass of its own. MPS opens that encoder, so nobody can make the pass wait for a fence.
fn encode(commands: &ProtocolObject<dyn MTLCommandBuffer>, kernel: &str, accesses: Vec<Access>, work: Work) {
    counts::by_mps(kernel, &accesses);
    let commands: Retained<SoftCommandBuffer> = command_buffer::root(commands);
    let mut state = commands.encode(kernel, Rule::TwoOpenEncoders);
    let mut pass = Pass::new("MPS", false, &commands.ivars().name);
    pass.commands.push(Command::Run { what: kernel.into(), accesses, work });
    state.ops.push(Op::Pass(pass));
}

pub fn install() {
    matrix_descriptor::SoftMatrixDescriptor::class();
    matrix::SoftMatrix::class();
    multiplication::SoftMultiplication::class();
    softmax::SoftSoftMax::class();
    softmax::SoftLogSoftMax::class();
    array_descriptor::SoftArrayDescriptor::class();
    array::SoftNDArray::class();
    array_multiplication::SoftArrayMultiplication::class();
    command_buffer::SoftMpsCommandBuffer::class();
}
