//! `NSNumber`, for shapes given as arrays of numbers.

use objc2::rc::{Allocated, Retained};
use objc2::runtime::NSObject;
use objc2::{DefinedClass, define_class, msg_send};
use objc2_foundation::NSObjectProtocol;

define_class!(
    #[unsafe(super(NSObject))]
    #[name = "NSNumber"]
    #[ivars = u64]
    pub struct SoftNumber;

    unsafe impl NSObjectProtocol for SoftNumber {}

    impl SoftNumber {
        #[unsafe(method_id(initWithUnsignedInteger:))]
        fn init_usize(this: Allocated<Self>, n: usize) -> Option<Retained<Self>> {
            let this = this.set_ivars(n as u64);
            unsafe { msg_send![super(this), init] }
        }

        #[unsafe(method_id(numberWithUnsignedInteger:))]
        fn number_usize(n: usize) -> Retained<Self> {
            crate::object::make(n as u64)
        }

        #[unsafe(method_id(numberWithUnsignedLong:))]
        fn number_ulong(n: u64) -> Retained<Self> {
            crate::object::make(n)
        }

        #[unsafe(method_id(numberWithUnsignedLongLong:))]
        fn number_ulonglong(n: u64) -> Retained<Self> {
            crate::object::make(n)
        }

        #[unsafe(method(unsignedIntegerValue))]
        fn usize_value(&self) -> usize {
            *self.ivars() as usize
        }

        #[unsafe(method(unsignedLongValue))]
        fn ulong_value(&self) -> u64 {
            *self.ivars()
        }

        #[unsafe(method(unsignedLongLongValue))]
        fn ulonglong_value(&self) -> u64 {
            *self.ivars()
        }
    }
);
