//! Faults that g++ takes on software Metal and Apple's compiler would not: clang has to refuse each.
#![allow(clippy::unwrap_used)]

use super::clang::Clang;
use super::{PRELUDE, from_here};
use std::fs;

const FOURS: &str = "../crates/kernels/src/metal/fours.metal";
const SOFTMAX: &str = "../crates/kernels/src/ops/softmax/softmax.metal";

/// What softmax is compiled of, in the order of the launcher.
fn softmax(dtype: &str) -> String {
    let [prelude, fours, softmax] =
        [PRELUDE, FOURS, SOFTMAX].map(|file| fs::read_to_string(from_here(file)).unwrap());
    format!("{prelude}typedef {dtype} T;\n{fours}{softmax}")
}

#[test]
fn softmax_is_taken_in_every_type() {
    let clang = Clang::find().unwrap();
    for dtype in ["float", "half", "bfloat"] {
        assert_eq!(clang.refusal(&softmax(dtype)), None, "{dtype}");
    }
}

#[test]
fn every_fault_is_refused() {
    let clang = Clang::find().unwrap();
    for (what, dtype, old, new, said) in [
        (
            "a pointer without its address space",
            "float",
            "inline float shared_value(threadgroup const float* shared",
            "inline float shared_value(const float* shared",
            "no matching function",
        ),
        (
            "memory of the device as a threadgroup's",
            "float",
            "group_sum(total, shared,",
            "group_sum(total, dx,",
            "no matching function",
        ),
        (
            "a row of the device as one of the stack",
            "half",
            "vec<E, 4> four = *(device const vec<E, 4>*)(row + min(at, end - 4));",
            "vec<E, 4> four = *(const vec<E, 4>*)(row + min(at, end - 4));",
            "a cast to no address space: (const vec<E, 4>*)",
        ),
        (
            "a reference to a constant as one to the stack",
            "float",
            "inline ulong row_start(constant Rows& rows,",
            "inline ulong row_start(thread Rows& rows,",
            "no matching function",
        ),
        (
            "a function that nobody declares",
            "float",
            "largest = simd_max(before);",
            "largest = simd_maximum(before);",
            "undeclared identifier 'simd_maximum'",
        ),
        (
            "a float as bfloat without a conversion",
            "bfloat",
            "row[at + i] = E(values[i]);",
            "row[at + i] = values[i];",
            "implicit conversion loses floating-point precision",
        ),
        (
            "a half as bfloat",
            "bfloat",
            "row[at + i] = E(values[i]);",
            "row[at + i] = half(values[i]);",
            "incompatible type 'half'",
        ),
        (
            "a maximum of a float and a whole number",
            "float",
            "largest = max(largest, max_of(part.fours[k]));",
            "largest = max(largest, 0);",
            "ambiguous",
        ),
        (
            "a store to what is constant",
            "float",
            "float own = largest;",
            "float own = largest; width = 1;",
            "cannot assign to variable 'width'",
        ),
        (
            "an attribute that no kernel has",
            "float",
            "[[thread_position_in_threadgroup]]",
            "[[thread_positon_in_threadgroup]]",
            "no attribute of a kernel: [[thread_positon_in_threadgroup]]",
        ),
        (
            "an instance of a kernel that is not there",
            "float",
            "decltype(softmax_forward<true>) softmax_forward<true>;",
            "decltype(softmax_forwards<true>) softmax_forwards<true>;",
            "undeclared identifier 'softmax_forwards'",
        ),
    ] {
        let text = softmax(dtype);
        assert!(text.contains(old), "{what}: the source has changed");
        let refusal = clang.refusal(&text.replace(old, new)).unwrap_or_default();
        assert!(refusal.contains(said), "{what}: {refusal}");
    }
}
