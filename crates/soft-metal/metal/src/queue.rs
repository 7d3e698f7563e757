//! `MTLCommandQueue`.

use crate::command_buffer::SoftCommandBuffer;
use crate::device::SoftDevice;
use crate::gpu::{Lane, lock};
use crate::object::{Name, make};
use objc2::rc::Retained;
use objc2::runtime::{AnyObject, NSObject, ProtocolObject};
use objc2::{ClassType, DefinedClass, Message, define_class};
use objc2_foundation::{NSObjectProtocol, NSString};
use objc2_metal::{MTLCommandBuffer, MTLCommandQueue, MTLDevice};
use std::sync::Mutex;

pub struct Ivars {
    pub device: Retained<SoftDevice>,
    pub name: Name,
    lane: Mutex<Lane>,
}

define_class!(
    #[unsafe(super(NSObject))]
    #[name = "SoftCommandQueue"]
    #[ivars = Ivars]
    pub struct SoftQueue;

    unsafe impl NSObjectProtocol for SoftQueue {}

    unsafe impl MTLCommandQueue for SoftQueue {
        #[unsafe(method_id(device))]
        fn device(&self) -> Retained<ProtocolObject<dyn MTLDevice>> {
            ProtocolObject::from_retained(self.ivars().device.clone())
        }

        #[unsafe(method_id(commandBuffer))]
        fn commandBuffer(&self) -> Option<Retained<ProtocolObject<dyn MTLCommandBuffer>>> {
            Some(ProtocolObject::from_retained(SoftCommandBuffer::new(self)))
        }

        #[unsafe(method_id(commandBufferWithUnretainedReferences))]
        fn commandBufferWithUnretainedReferences(&self) -> Option<Retained<ProtocolObject<dyn MTLCommandBuffer>>> {
            Some(ProtocolObject::from_retained(SoftCommandBuffer::new(self)))
        }

        #[unsafe(method_id(label))]
        fn label(&self) -> Option<Retained<NSString>> {
            self.ivars().name.label()
        }

        #[unsafe(method(setLabel:))]
        fn setLabel(&self, label: Option<&NSString>) {
            self.ivars().name.set_label(label);
        }
    }

    impl SoftQueue {
        #[unsafe(method(addResidencySet:))]
        fn add_residency_set(&self, _set: &AnyObject) {}
    }
);

impl SoftQueue {
    pub fn new(device: &SoftDevice) -> Retained<Self> {
        make(Ivars { device: device.retain(), name: Name::new("queue"), lane: Mutex::new(Lane::new()) })
    }

    /// Hands committed work to the thread of this queue.
    pub fn submit(&self, commands: Retained<SoftCommandBuffer>) {
        lock(&self.ivars().lane).submit(commands);
    }
}

pub fn install() {
    SoftQueue::class();
}
