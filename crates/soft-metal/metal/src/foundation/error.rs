//! `NSError`.

use objc2::rc::Retained;
use objc2::runtime::NSObject;
use objc2::{DefinedClass, define_class};
use objc2_foundation::{NSError, NSObjectProtocol, NSString};

pub struct Ivars {
    domain: Retained<NSString>,
    code: isize,
    text: Retained<NSString>,
}

define_class!(
    #[unsafe(super(NSObject))]
    #[name = "NSError"]
    #[ivars = Ivars]
    pub struct SoftError;

    unsafe impl NSObjectProtocol for SoftError {}

    impl SoftError {
        #[unsafe(method_id(localizedDescription))]
        fn text(&self) -> Retained<NSString> {
            self.ivars().text.clone()
        }

        #[unsafe(method_id(domain))]
        fn domain(&self) -> Retained<NSString> {
            self.ivars().domain.clone()
        }

        #[unsafe(method(code))]
        fn code(&self) -> isize {
            self.ivars().code
        }

        #[unsafe(method_id(userInfo))]
        fn user_info(&self) -> Option<Retained<NSObject>> {
            None
        }
    }
);

pub fn error(domain: &str, code: isize, text: &str) -> Retained<NSError> {
    let ivars = Ivars { domain: NSString::from_str(domain), code, text: NSString::from_str(text) };
    // SAFETY: the bound class of the same name is this one.
    unsafe { Retained::cast_unchecked(crate::object::make::<SoftError>(ivars)) }
}

/// Writes an autoreleased error to an `NSError **` parameter.
pub fn fail(out: *mut *mut NSError, domain: &str, code: isize, text: &str) {
    if !out.is_null() {
        unsafe { *out = Retained::autorelease_ptr(error(domain, code, text)) }
    }
}
