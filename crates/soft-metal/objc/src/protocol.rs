//! Protocols: none is registered, which objc2 copes with, so every look-up finds none and every class conforms.

use crate::prelude::*;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn class_addProtocol(_: *mut Class, _: *const c_void) -> u8 {
    1
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn class_conformsToProtocol(_: *const Class, _: *const c_void) -> u8 {
    1
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn objc_getProtocol(_: *const c_char) -> *const c_void {
    null()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn protocol_getName(_: *const c_void) -> *const c_char {
    c"?".as_ptr()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn protocol_copyMethodDescriptionList(
    _: *const c_void,
    _: u8,
    _: u8,
    n: *mut c_uint,
) -> *mut c_void {
    if !n.is_null() {
        *n = 0
    }
    null_mut()
}
