//! `NSString`, immutable, from UTF-8.

use objc2::rc::{Allocated, Retained};
use objc2::runtime::NSObject;
use objc2::{Message, define_class, msg_send};
use objc2_foundation::{NSObjectProtocol, NSString};
use std::ffi::{CString, c_char, c_void};

/// `NSUTF8StringEncoding`.
const UTF8: i32 = 4;

define_class!(
    #[unsafe(super(NSObject))]
    #[name = "NSString"]
    #[ivars = CString]
    pub struct SoftString;

    unsafe impl NSObjectProtocol for SoftString {}

    impl SoftString {
        #[unsafe(method_id(initWithBytes:length:encoding:))]
        fn init_with_bytes(this: Allocated<Self>, bytes: *const c_void, n: usize, encoding: i32) -> Option<Retained<Self>> {
            assert_eq!(encoding, UTF8, "only UTF-8 strings");
            let bytes = if n == 0 { &[][..] } else { unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), n) } };
            let this = this.set_ivars(CString::new(bytes).expect("NSString with NUL"));
            unsafe { msg_send![super(this), init] }
        }

        #[unsafe(method(lengthOfBytesUsingEncoding:))]
        fn length_of_bytes(&self, _encoding: i32) -> usize {
            self.bytes().len()
        }

        #[unsafe(method(length))]
        fn length(&self) -> usize {
            String::from_utf8_lossy(self.bytes()).encode_utf16().count()
        }

        /// As on a Mac, the bytes last until the pool is drained, even if the string does not: candle's
        /// `CommandBuffer::error` relies on it.
        #[unsafe(method(UTF8String))]
        fn utf8_string(&self) -> *const c_char {
            let _ = Retained::autorelease_ptr(self.retain());
            objc2::DefinedClass::ivars(self).as_ptr()
        }

        #[unsafe(method(isEqualToString:))]
        fn is_equal(&self, other: &NSString) -> bool {
            String::from_utf8_lossy(self.bytes()) == other.to_string()
        }

        #[unsafe(method_id(copyWithZone:))]
        fn copy(&self, _zone: *mut c_void) -> Retained<Self> {
            self.retain()
        }

        #[unsafe(method_id(description))]
        fn description(&self) -> Retained<Self> {
            self.retain()
        }
    }
);

impl SoftString {
    fn bytes(&self) -> &[u8] {
        objc2::DefinedClass::ivars(self).as_bytes()
    }
}
