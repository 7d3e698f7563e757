//! Objects: who holds them, and who may touch what is in them.

use crate::common::*;
use objc2::rc::Retained;
use objc2::runtime::{AnyObject, NSObject, ProtocolObject};
use objc2_metal::*;
use soft_metal::{Guard, Rule};

rules! {
    contents_of_private_memory breaks PrivateContents: |gpu| {
        let b = gpu.device.newBufferWithLength_options(16, MTLResourceOptions::StorageModePrivate).expect("a buffer");
        message(|| _ = b.contents())
    };
    removing_what_is_not_resident breaks NotResident: |gpu| {
        let d = MTLResidencySetDescriptor::new();
        let set = gpu.device.newResidencySetWithDescriptor_error(&d).expect("a residency set");
        let b = gpu.buffer(&[0f32]);
        let allocation: &ProtocolObject<dyn MTLAllocation> = ProtocolObject::from_ref(&*b);
        message(|| set.removeAllocation(allocation))
    };
    use_after_release breaks UseAfterRelease: |_| {
        let o = NSObject::new();
        let p = Retained::as_ptr(&o) as *mut AnyObject;
        drop(o);
        message(|| drop(unsafe { Retained::retain(p) }))
    };
    a_doubled_retain breaks Leak: |gpu| {
        let guard = Guard::new();
        let b = Retained::into_raw(gpu.buffer(&[0f32])); // nobody releases this
        let problems = guard.problems().join("\n");
        drop(unsafe { Retained::from_raw(b) });
        problems
    };
}

/// A message names the rule, the object by its label, and the place.
#[test]
fn messages_name_objects_and_places() {
    let gpu = Gpu::new();
    let b = gpu.buffer(&[0f32; 3]);
    b.setLabel(Some(&objc2_foundation::NSString::from_str("weights")));
    let text = message(|| drop(matrix(&b, 2, 2)));
    assert!(text.contains("(matrix outside its buffer): buffer ") && text.contains("\"weights\""), "{text}");
    assert!(text.contains("16 bytes are needed, it has 12"), "{text}");
}
