//! Plans of candle's GEMM changed by hand: every field counts.

use metal_candle_mps::interp::{Fault, Host};
use metal_candle_mps::plan::{Slot, SteelPlan};

use crate::layouts::buffer;
use crate::steel::{contiguous, product};

/// Runs the plan of a product with a batch and an addend, changed by hand.
fn run(change: fn(&mut SteelPlan)) -> Result<Vec<u8>, Fault> {
    let addend = contiguous(&[2, 3, 32, 5]);
    let operands = product(&[2, 3, 32, 8], &[2, 3, 8, 5]).with(Some(addend), (0.5, 2.0));
    let mut plan = operands.steel().expect("contiguous");
    change(&mut plan);
    let mut host = Host::default();
    host.insert(Slot::Left, buffer(&operands.left, 1));
    host.insert(Slot::Right, buffer(&operands.right, 2));
    host.insert(Slot::Addend, buffer(&contiguous(&[2, 3, 32, 5]), 3));
    host.insert(Slot::Result, buffer(&operands.result, 4));
    host.multiply_steel(&plan)?;
    Ok(host.bytes(Slot::Result).expect("inserted").to_vec())
}

#[test]
fn every_field_counts() {
    type Change = fn(&mut SteelPlan);
    let right = run(|_| {}).expect("unchanged");
    let changes: [(&str, Change); 16] = [
        ("transposition", |p| p.kernel = p.kernel.replace("nn", "tn")),
        ("constants", |p| p.constants[1].1 = false),
        ("axpby", |p| p.constants[2].1 = false),
        ("offset", |p| p.bindings[1].offset_bytes += 4),
        ("bindings", |p| p.bindings[0].slot = Slot::Right),
        ("N", |p| p.params.n = 4),
        ("K", |p| p.params.k = 7),
        ("lda", |p| p.params.lda = 7),
        ("ldb", |p| p.params.ldb = 6),
        ("ldd", |p| p.params.ldd = 4),
        ("ldc and fdc", |p| {
            let addend = p.addend.as_mut().expect("added");
            (addend.ldc, addend.fdc) = (addend.fdc, addend.ldc);
        }),
        ("batch stride of A", |p| p.params.batch_stride_a = 0),
        ("batch stride of C", |p| {
            p.addend.as_mut().expect("added").batch_stride_c = 0
        }),
        ("batch stride of D", |p| p.params.batch_stride_d = 80),
        ("grid", |p| p.grid[2] = 5),
        ("group", |p| p.group[1] = 1),
    ];
    for (name, change) in changes {
        assert!(run(change) != Ok(right.clone()), "{name}");
    }
}

#[test]
fn what_no_kernel_takes_is_a_fault() {
    let fault = |change| run(change).expect_err("refused");
    let name = "gemm_nx_f32_f32_64_32_32_2_2";
    assert_eq!(
        fault(|p| p.kernel = "gemm_nx_f32_f32_64_32_32_2_2".into()),
        Fault::Kernel { name: name.into() }
    );
    assert_eq!(fault(|p| p.addend = None), Fault::Unbound { index: 5 });
    assert_eq!(fault(|p| _ = p.bindings.pop()), Fault::Unbound { index: 3 });
    let (expected, got) = ([32, 2, 2], [32, 1, 2]);
    assert_eq!(fault(|p| p.group[1] = 1), Fault::Group { expected, got });
    assert_eq!(
        fault(|p| p.params.lda = -1),
        Fault::Argument {
            name: "lda",
            value: -1
        }
    );
    assert!(matches!(
        fault(|p| p.bindings[2].offset_bytes = 1 << 20),
        Fault::OutOfBuffer {
            slot: Slot::Addend,
            ..
        }
    ));
}
