//! `MTLResidencySet`: holds its allocations, and checks that only held ones are removed.

use crate::gpu::lock;
use crate::object::make;
use crate::rules::{Rule, broken};
use objc2::rc::Retained;
use objc2::runtime::{AnyObject, NSObject};
use objc2::{ClassType, DefinedClass, Message, define_class};
use objc2_foundation::NSObjectProtocol;
use std::sync::Mutex;

define_class!(
    #[unsafe(super(NSObject))]
    #[name = "SoftResidencySet"]
    #[ivars = Mutex<Vec<Retained<AnyObject>>>]
    pub struct SoftResidency;

    unsafe impl NSObjectProtocol for SoftResidency {}

    impl SoftResidency {
        #[unsafe(method(requestResidency))]
        fn request(&self) {}

        #[unsafe(method(endResidency))]
        fn end(&self) {}

        #[unsafe(method(commit))]
        fn commit(&self) {}

        #[unsafe(method(addAllocation:))]
        fn add(&self, allocation: &AnyObject) {
            lock(self.ivars()).push(allocation.retain());
        }

        #[unsafe(method(removeAllocation:))]
        fn remove(&self, allocation: &AnyObject) {
            let mut held = lock(self.ivars());
            let Some(i) = held.iter().position(|a| std::ptr::eq(&**a, allocation)) else {
                drop(held);
                broken(Rule::NotResident, "residency set", "removeAllocation:");
            };
            held.swap_remove(i);
        }
    }
);

impl SoftResidency {
    pub fn new() -> Retained<Self> {
        make(Mutex::default())
    }
}

define_class!(
    #[unsafe(super(NSObject))]
    #[name = "MTLResidencySetDescriptor"]
    pub struct SoftResidencyDescriptor;

    unsafe impl NSObjectProtocol for SoftResidencyDescriptor {}
);

pub fn install() {
    SoftResidency::class();
    SoftResidencyDescriptor::class();
}
