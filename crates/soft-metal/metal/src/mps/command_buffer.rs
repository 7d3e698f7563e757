//! `MPSCommandBuffer`: another command buffer, which it can replace when it commits and continues.

use crate::command_buffer::SoftCommandBuffer;
use crate::gpu::lock;
use crate::object::{make, soft};
use crate::queue::SoftQueue;
use objc2::rc::{Allocated, Retained};
use objc2::runtime::{AnyObject, NSObject, ProtocolObject};
use objc2::{ClassType, DefinedClass, Message, define_class, msg_send};
use objc2_foundation::NSObjectProtocol;
use objc2_metal::{
    MTLBlitCommandEncoder, MTLCommandBuffer, MTLCommandBufferStatus, MTLCommandQueue, MTLComputeCommandEncoder,
};
use std::sync::Mutex;

define_class!(
    #[unsafe(super(NSObject))]
    #[name = "MPSCommandBuffer"]
    #[ivars = Mutex<Retained<SoftCommandBuffer>>]
    pub struct SoftMpsCommandBuffer;

    unsafe impl NSObjectProtocol for SoftMpsCommandBuffer {}

    unsafe impl MTLCommandBuffer for SoftMpsCommandBuffer {
        #[unsafe(method(commit))]
        fn commit(&self) {
            self.current().commit_to_queue();
        }

        #[unsafe(method(waitUntilCompleted))]
        fn waitUntilCompleted(&self) {
            MTLCommandBuffer::waitUntilCompleted(&*self.current());
        }

        #[unsafe(method(status))]
        fn status(&self) -> MTLCommandBufferStatus {
            MTLCommandBuffer::status(&*self.current())
        }

        #[unsafe(method_id(blitCommandEncoder))]
        fn blitCommandEncoder(&self) -> Option<Retained<ProtocolObject<dyn MTLBlitCommandEncoder>>> {
            MTLCommandBuffer::blitCommandEncoder(&*self.current())
        }

        #[unsafe(method_id(computeCommandEncoder))]
        fn computeCommandEncoder(&self) -> Option<Retained<ProtocolObject<dyn MTLComputeCommandEncoder>>> {
            MTLCommandBuffer::computeCommandEncoder(&*self.current())
        }
    }

    impl SoftMpsCommandBuffer {
        #[unsafe(method_id(commandBufferWithCommandBuffer:))]
        fn with(commands: &ProtocolObject<dyn MTLCommandBuffer>) -> Retained<Self> {
            make(Mutex::new(root(commands)))
        }

        #[unsafe(method_id(commandBufferFromCommandQueue:))]
        fn from_queue(queue: &ProtocolObject<dyn MTLCommandQueue>) -> Retained<Self> {
            make(Mutex::new(SoftCommandBuffer::new(soft::<SoftQueue, _>(queue))))
        }

        #[unsafe(method_id(initWithCommandBuffer:))]
        fn init(this: Allocated<Self>, commands: &ProtocolObject<dyn MTLCommandBuffer>) -> Option<Retained<Self>> {
            let this = this.set_ivars(Mutex::new(root(commands)));
            unsafe { msg_send![super(this), init] }
        }

        #[unsafe(method_id(commandBuffer))]
        fn command_buffer(&self) -> Retained<ProtocolObject<dyn MTLCommandBuffer>> {
            ProtocolObject::from_retained(self.current())
        }

        #[unsafe(method_id(rootCommandBuffer))]
        fn root_command_buffer(&self) -> Retained<ProtocolObject<dyn MTLCommandBuffer>> {
            ProtocolObject::from_retained(self.current())
        }

        #[unsafe(method(commitAndContinue))]
        fn commit_and_continue(&self) {
            let old = self.current();
            let new = SoftCommandBuffer::new(old.queue());
            old.commit_to_queue();
            *lock(self.ivars()) = new;
        }
    }
);

impl SoftMpsCommandBuffer {
    fn current(&self) -> Retained<SoftCommandBuffer> {
        lock(self.ivars()).clone()
    }
}

/// The command buffer behind either class.
pub fn root(commands: &ProtocolObject<dyn MTLCommandBuffer>) -> Retained<SoftCommandBuffer> {
    // SAFETY: only the class is read.
    let any = unsafe { &*(commands as *const _ as *const AnyObject) };
    if any.class() == SoftMpsCommandBuffer::class() {
        return soft::<SoftMpsCommandBuffer, _>(commands).current();
    }
    soft::<SoftCommandBuffer, _>(commands).retain()
}
