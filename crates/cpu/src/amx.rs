//! Tiles of Intel's AMX: registers of 16 rows of 64 bytes, and an instruction that multiplies two of
//! them, of bf16, into a third one of float32 (Intel's Architecture Instruction Set Extensions
//! Programming Reference, chapter 3). It takes 16 cycles for 8192 multiplications, where AVX-512 takes
//! 256, does not raise exceptions, and reads numbers below `2^-126` as zero.
//!
//! Rust has no stable functions for it yet, so the instructions are written out. No code that a
//! compiler makes uses a tile: what these functions leave there stays until they change it.
#![allow(unsafe_code)]

use std::arch::asm;
use std::marker::PhantomData;
use std::sync::OnceLock;

/// Pairs of bf16 in a tile, or floats of a result: 16 rows of 16.
pub const TILE: usize = 256;

/// Two tiles, one after the other in memory.
pub type Two = [f32; 2 * TILE];

/// Four results: the rows and columns of two tiles.
#[repr(C, align(64))]
pub struct Sums(pub [[f32; 32]; 32]);

/// Whether the processor has tiles of bf16 and the system lets this process use them, for which it is
/// asked once.
pub fn is_available() -> bool {
    static IS_AVAILABLE: OnceLock<bool> = OnceLock::new();
    *IS_AVAILABLE.get_or_init(|| has_tiles() && is_permitted())
}

fn has_tiles() -> bool {
    const BF16: u32 = 1 << 22;
    const TILES: u32 = 1 << 24;
    #[allow(unused_unsafe)] // It is safe since Rust 1.94.
    // SAFETY: every x86-64 processor has the instruction.
    let features = unsafe { std::arch::x86_64::__cpuid_count(7, 0) }.edx;
    features & BF16 != 0 && features & TILES != 0
}

/// Linux keeps the state of tiles for processes that ask for it
/// (<https://docs.kernel.org/arch/x86/xstate.html>).
fn is_permitted() -> bool {
    const REQUEST: libc::c_ulong = 0x1023;
    const TILE_DATA: libc::c_ulong = 18;
    // SAFETY: the call changes nothing but what this process may use.
    unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST, TILE_DATA) == 0 }
}

/// Eight tiles of this thread, all of full size: 0 to 3 are sums, 4 and 5 rows of `A`, 6 and 7 columns
/// of `B`. They are given back when it is dropped, so that the system need not keep them any longer.
pub struct Tiles {
    /// They belong to this thread.
    thread: PhantomData<*const ()>,
}

#[repr(C, align(64))]
struct Config([u8; 64]);

impl Tiles {
    /// The tiles, where there are any.
    pub fn new() -> Option<Self> {
        const FULL: Config = full();
        if !is_available() {
            return None;
        }
        // SAFETY: the processor has the instruction, and the table is one of palette 1.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &FULL, options(nostack, readonly)) };
        Some(Self {
            thread: PhantomData,
        })
    }

    /// Sums of zero.
    #[inline(always)]
    pub fn clear(&mut self) {
        // SAFETY: tiles are configured for as long as `self` lives.
        unsafe {
            asm!(
                "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                options(nostack, nomem, preserves_flags)
            );
        }
    }

    /// Two tiles of rows of `A`.
    #[inline(always)]
    pub fn load_rows(&mut self, rows: &Two) {
        // SAFETY: tiles are configured, and each reads the 1024 bytes of its half.
        unsafe {
            asm!(
                "tileloadd tmm4, [{at} + {row}]", "tileloadd tmm5, [{at} + {row} + 1024]",
                at = in(reg) rows.as_ptr(), row = in(reg) 64_usize,
                out("tmm4") _, out("tmm5") _,
                options(nostack, readonly, preserves_flags)
            );
        }
    }

    /// Two tiles of columns of `B`.
    #[inline(always)]
    pub fn load_columns(&mut self, columns: &Two) {
        // SAFETY: as above.
        unsafe {
            asm!(
                "tileloadd tmm6, [{at} + {row}]", "tileloadd tmm7, [{at} + {row} + 1024]",
                at = in(reg) columns.as_ptr(), row = in(reg) 64_usize,
                out("tmm6") _, out("tmm7") _,
                options(nostack, readonly, preserves_flags)
            );
        }
    }

    /// Adds the products of what was loaded last to the sums; of the first tile of rows only, or of
    /// both.
    #[inline(always)]
    pub fn multiply<const ROW_TILES: usize>(&mut self) {
        // SAFETY: tiles are configured.
        unsafe {
            asm!(
                "tdpbf16ps tmm0, tmm4, tmm6", "tdpbf16ps tmm1, tmm4, tmm7",
                out("tmm0") _, out("tmm1") _,
                options(nostack, nomem, preserves_flags)
            );
            if ROW_TILES == 2 {
                asm!(
                    "tdpbf16ps tmm2, tmm5, tmm6", "tdpbf16ps tmm3, tmm5, tmm7",
                    out("tmm2") _, out("tmm3") _,
                    options(nostack, nomem, preserves_flags)
                );
            }
        }
    }

    /// The sums.
    #[inline(always)]
    pub fn store(&mut self, to: &mut Sums) {
        // SAFETY: tiles are configured; rows of 128 bytes, from four corners on, are inside of `to`.
        unsafe {
            asm!(
                "tilestored [{at} + {row}], tmm0", "tilestored [{at} + {row} + 64], tmm1",
                "tilestored [{at} + {row} + 2048], tmm2", "tilestored [{at} + {row} + 2112], tmm3",
                at = in(reg) to.0.as_mut_ptr(), row = in(reg) 128_usize,
                options(nostack, preserves_flags)
            );
        }
    }
}

/// The table that says that all eight tiles have 16 rows of 64 bytes.
const fn full() -> Config {
    let mut table = [0; 64];
    table[0] = 1;
    let mut tile = 0;
    while tile < 8 {
        (table[16 + 2 * tile], table[48 + tile]) = (64, 16);
        tile += 1;
    }
    Config(table)
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: the processor has the instruction.
        unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) };
    }
}
