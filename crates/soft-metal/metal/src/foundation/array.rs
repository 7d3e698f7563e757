//! `NSArray`, immutable.

use objc2::rc::{Allocated, Retained};
use objc2::runtime::{AnyObject, NSObject};
use objc2::{DefinedClass, define_class, msg_send};
use objc2_foundation::{NSObjectProtocol, NSRange};

define_class!(
    #[unsafe(super(NSObject))]
    #[name = "NSArray"]
    #[ivars = Vec<Retained<AnyObject>>]
    pub struct SoftArray;

    unsafe impl NSObjectProtocol for SoftArray {}

    impl SoftArray {
        #[unsafe(method_id(init))]
        fn init_empty(this: Allocated<Self>) -> Option<Retained<Self>> {
            let this = this.set_ivars(vec![]);
            unsafe { msg_send![super(this), init] }
        }

        #[unsafe(method_id(initWithObjects:count:))]
        fn init_with_objects(this: Allocated<Self>, objects: *const *mut AnyObject, n: usize) -> Option<Retained<Self>> {
            let all = (0..n).map(|i| unsafe { Retained::retain(*objects.add(i)).expect("no nil in an NSArray") });
            let this = this.set_ivars(all.collect());
            unsafe { msg_send![super(this), init] }
        }

        #[unsafe(method(count))]
        fn count(&self) -> usize {
            self.ivars().len()
        }

        #[unsafe(method_id(objectAtIndex:))]
        fn object_at(&self, i: usize) -> Retained<AnyObject> {
            self.ivars()[i].clone()
        }

        #[unsafe(method(getObjects:range:))]
        fn get_range(&self, out: *mut *const AnyObject, range: NSRange) {
            for i in 0..range.length {
                unsafe { *out.add(i) = &*self.ivars()[range.location + i] }
            }
        }

        #[unsafe(method(getObjects:))]
        fn get_all(&self, out: *mut *const AnyObject) {
            for (i, object) in self.ivars().iter().enumerate() {
                unsafe { *out.add(i) = &**object }
            }
        }
    }
);
