//! candle's MSL libraries, all of them, through the rewriter and the C++ compiler.

use candle_metal_kernels::source as s;
use soft_metal::msl;

const LIBRARIES: &[(&str, &str)] = &[
    ("affine", s::AFFINE),
    ("binary", s::BINARY),
    ("cast", s::CAST),
    ("conv", s::CONV),
    ("fill", s::FILL),
    ("gemv", s::GEMV),
    ("indexing", s::INDEXING),
    ("mlx_gemm", s::MLX_GEMM),
    ("mlx_sort", s::MLX_SORT),
    ("quantized", s::QUANTIZED),
    ("random", s::RANDOM),
    ("reduce", s::REDUCE),
    ("scaled_dot_product_attention", s::SDPA),
    ("sort", s::SORT),
    ("ternary", s::TERNARY),
    ("unary", s::UNARY),
];

#[test]
fn every_library_compiles() {
    let mut kernels = 0;
    for (name, source) in LIBRARIES {
        let unit = msl::parse(source).unwrap_or_else(|e| panic!("{name}: {e}"));
        msl::build(&unit).unwrap_or_else(|e| panic!("{name}: {e}"));
        kernels += unit.kernels.len();
    }
    assert_eq!(kernels, 1734, "kernels in all");
}
