//! Type strings of methods (`v24@0:8@16`): split into return type and arguments.

use crate::prelude::*;

pub(crate) fn skip_type(b: &[u8], mut i: usize) -> usize {
    while i < b.len() && b"rnNoORVA".contains(&b[i]) {
        i += 1;
    }
    match b.get(i) {
        None => i,
        Some(b'^') => skip_type(b, i + 1),
        Some(b'{' | b'[' | b'(') => {
            let mut d = 0;
            while i < b.len() {
                match b[i] {
                    b'{' | b'[' | b'(' => d += 1,
                    b'}' | b']' | b')' => d -= 1,
                    _ => {}
                }
                i += 1;
                if d == 0 {
                    break;
                }
            }
            i
        }
        Some(b'@') if b.get(i + 1) == Some(&b'?') => i + 2,
        Some(_) => i + 1,
    }
}

pub(crate) fn split_types(s: &CStr) -> Vec<Vec<u8>> {
    let (b, mut i, mut v) = (s.to_bytes(), 0, vec![]);
    while i < b.len() {
        let e = skip_type(b, i);
        v.push(b[i..e].to_vec());
        i = e;
        while i < b.len() && b[i].is_ascii_digit() {
            i += 1;
        }
    }
    v
}

unsafe extern "C" {
    fn strdup(s: *const c_char) -> *mut c_char;
}

pub(crate) unsafe fn dup(v: &[u8]) -> *mut c_char {
    let c = CString::new(v).unwrap();
    strdup(c.as_ptr())
}
