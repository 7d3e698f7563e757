//! Stores that go past the caches, a line at a time: on AVX-512, whose registers are lines.

use pulp::Simd;

const LINE_BYTES: usize = 64;

/// Whether registers can be streamed to `y` and to the registers' places after it.
#[inline(always)]
pub(super) fn is_possible<S: Simd>(y: *const f32) -> bool {
    let is_line = size_of::<S::f32s>() == LINE_BYTES && y.addr().is_multiple_of(LINE_BYTES);
    is_line && is_supported()
}

#[inline(always)]
fn is_supported() -> bool {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    return pulp::x86::V4::try_new().is_some();
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    false
}

/// # Safety
/// `F32_LANES` floats from `y` on must be writable, and streaming to them [`is_possible`].
#[inline(always)]
pub(super) unsafe fn store<S: Simd>(y: *mut f32, value: S::f32s) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if size_of::<S::f32s>() == LINE_BYTES {
        // SAFETY: the caller's; a register of this size is 16 floats, whatever its type is called.
        unsafe { std::arch::x86_64::_mm512_stream_ps(y, std::mem::transmute_copy(&value)) };
        return;
    }
    // SAFETY: the caller's.
    unsafe { super::store::<S>(y, value) };
}

/// Other threads see what was streamed before, as they see other stores: these alone are not in
/// order with the release that a thread ends its work with.
#[inline(always)]
pub fn end() {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: every x86-64 processor has it.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}
