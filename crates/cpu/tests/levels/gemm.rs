//! Every kernel of products at every level against sums over float64, in all orders, dtypes and at sizes on
//! both sides of the tiles' and blocks' edges.

use half::{bf16, f16};
use metal_candle_cpu::floats::Floats;
use metal_candle_cpu::gemm::{DEPTH, Matrix, MatrixMut, SECOND, Then, product, product_at};
use metal_candle_cpu::simd::Level;
use proptest::prelude::*;

/// A matrix of small whole numbers, exact in every dtype, in an order of its own.
#[derive(Debug)]
struct Stored {
    values: Vec<f32>,
    f16: Vec<f16>,
    bf16: Vec<bf16>,
    dtype: u8,
    sizes: (usize, usize),
    strides: (usize, usize),
}

impl Stored {
    fn new((rows, columns): (usize, usize), dtype: u8, order: u8, gap: usize, seed: usize) -> Self {
        let strides = match order {
            0 => (columns + gap, 1),
            1 => (1, rows + gap),
            _ => (2 * columns + gap, 2),
        };
        let len = rows * strides.0 + columns * strides.1;
        let value = |i: usize| ((i * 7 + seed) % 13) as f32 - 6.0;
        let values: Vec<f32> = (0..len).map(value).collect();
        Self {
            f16: values.iter().map(|&x| f16::from_f32(x)).collect(),
            bf16: values.iter().map(|&x| bf16::from_f32(x)).collect(),
            values,
            dtype,
            sizes: (rows, columns),
            strides,
        }
    }

    fn matrix(&self) -> Matrix<'_> {
        let data = match self.dtype {
            0 => Floats::F32(&self.values),
            1 => Floats::F16(&self.f16),
            _ => Floats::Bf16(&self.bf16),
        };
        Matrix::at(data, 0, self.sizes, self.strides)
    }

    fn at(&self, row: usize, column: usize) -> f64 {
        f64::from(self.values[row * self.strides.0 + column * self.strides.1])
    }
}

/// `alpha * A B + C`, element by element.
fn expected(a: &Stored, b: &Stored, alpha: f64, c: f64) -> Vec<f32> {
    let (rows, columns, depth) = (a.sizes.0, b.sizes.1, a.sizes.1);
    let element = |i: usize| {
        let (row, column) = (i / columns, i % columns);
        let sum: f64 = (0..depth).map(|k| a.at(row, k) * b.at(k, column)).sum();
        (alpha * sum + c) as f32
    };
    (0..rows * columns).map(element).collect()
}

fn check(level: Level, a: &Stored, b: &Stored, then: Then, transposed: bool) {
    let (rows, columns) = (a.sizes.0, b.sizes.1);
    let before = match then {
        Then::Write => f32::NAN,
        Then::Add => 3.0,
    };
    let mut c = vec![before; rows * columns];
    let (matrix_a, matrix_b) = (a.matrix(), b.matrix());
    if transposed {
        let c_matrix = MatrixMut::new(&mut c, columns, rows).transposed();
        product_at(level, c_matrix, then, 0.5, &[(matrix_a, matrix_b)]);
        c_equals(&transpose(&c, rows, columns), a, b, then, level);
    } else {
        let c_matrix = MatrixMut::new(&mut c, rows, columns);
        product_at(level, c_matrix, then, 0.5, &[(matrix_a, matrix_b)]);
        c_equals(&c, a, b, then, level);
    }
}

/// A matrix stored column after column, row after row.
fn transpose(c: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let element = |i: usize| c[i % columns * rows + i / columns];
    (0..c.len()).map(element).collect()
}

fn c_equals(c: &[f32], a: &Stored, b: &Stored, then: Then, level: Level) {
    let added = match then {
        Then::Write => 0.0,
        Then::Add => 3.0,
    };
    // Sums of whole numbers below 2^24 are exact in any order.
    let expected = expected(a, b, 0.5, added);
    assert!(c == expected, "{level}: {:?} times {:?}", a.sizes, b.sizes);
}

/// Around the edges of tiles and of blocks.
const EDGES: [usize; 8] = [63, 64, 65, 223, 300, DEPTH, DEPTH + 1, 2 * DEPTH + 33];

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![0..40usize, prop::sample::select(EDGES.to_vec())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 400 }))]

    #[test]
    fn products_are_exact_on_whole_numbers(
        (m, n, k) in (size(), size(), size()).prop_filter("small enough", |(m, n, k)| m * n * k < 4_000_000),
        (a_dtype, b_dtype) in (0..3u8, 0..3u8),
        (a_order, b_order) in (0..3u8, 0..3u8),
        gap in 0..3usize,
        adds in any::<bool>(),
        transposed in any::<bool>(),
    ) {
        let a = Stored::new((m, k), a_dtype, a_order, gap, 1);
        let b = Stored::new((k, n), b_dtype, b_order, gap, 5);
        let then = if adds { Then::Add } else { Then::Write };
        for level in Level::available() {
            check(level, &a, &b, then, transposed);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 200 }))]

    #[test]
    fn few_columns_or_rows_are_exact(
        (few, many) in (1..20usize, size()),
        k in prop::sample::select(vec![1, 2, 31, 32, 33, 100, DEPTH - 1, DEPTH, DEPTH + 3]),
        (order, other_order) in (0..2u8, 0..3u8),
        gap in 0..3usize,
        (few_rows, adds, transposed) in any::<(bool, bool, bool)>(),
    ) {
        let (m, n) = if few_rows { (few, many) } else { (many, few) };
        let (a_order, b_order) = if few_rows { (other_order, order) } else { (order, other_order) };
        let a = Stored::new((m, k), 0, a_order, gap, 1);
        let b = Stored::new((k, n), 0, b_order, gap, 5);
        let then = if adds { Then::Add } else { Then::Write };
        for level in Level::available() {
            check(level, &a, &b, then, transposed);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 100 }))]

    #[test]
    fn a_second_term_is_added(
        (m, n) in (size(), size()),
        (k, rank) in (prop::sample::select(vec![0, 3, 100, DEPTH - 4, DEPTH, DEPTH + 6]), 0..DEPTH + SECOND + 2),
        dtype in 0..3u8,
    ) {
        let a = [Stored::new((m, k), 0, 0, 0, 1), Stored::new((m, rank), 0, 0, 0, 3)];
        let b = [Stored::new((k, n), dtype, 1, 0, 5), Stored::new((rank, n), 0, 1, 0, 7)];
        let terms = [(a[0].matrix(), b[0].matrix()), (a[1].matrix(), b[1].matrix())];
        let parts = [expected(&a[0], &b[0], 1.0, 0.0), expected(&a[1], &b[1], 1.0, 0.0)];
        let sums: Vec<f32> = parts[0].iter().zip(&parts[1]).map(|(x, y)| x + y).collect();
        for level in Level::available() {
            let mut c = vec![f32::NAN; m * n];
            let c_matrix = MatrixMut::new(&mut c, m, n);
            product_at(level, c_matrix, Then::Write, 1.0, &terms);
            prop_assert!(c == sums, "{level}");
        }
    }
}

#[test]
fn products_shared_among_threads_are_whole() {
    for (m, n, k) in [
        (300, 500, 300),
        (500, 300, 300),
        (1100, 1200, 30),
        (1200, 1100, 30),
        (1, 2000, 2100),
        (1, 0, 2100),
        (0, 2000, 2100),
        (2000, 1, 2100),
        (777, 12, 600),
        (12, 777, 600),
    ] {
        for (level, dtype) in Level::available().flat_map(|level| [(level, 0), (level, 2)]) {
            let a = Stored::new((m, k), 0, 0, 0, 1);
            let b = Stored::new((k, n), dtype, 1, 0, 5);
            check(level, &a, &b, Then::Write, false);
        }
    }
}

/// A matrix of numbers between one and two, all bits of which count, row after row.
fn of_any_bits((rows, columns): (usize, usize), dtype: u8, seed: u32) -> Stored {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        1.0 + (state >> 9) as f32 / (1 << 23) as f32
    };
    let values: Vec<f32> = (0..rows * columns).map(|_| next()).collect();
    let f16: Vec<f16> = values.iter().map(|&x| f16::from_f32(x)).collect();
    let bf16: Vec<bf16> = values.iter().map(|&x| bf16::from_f32(x)).collect();
    let values = match dtype {
        0 => values,
        1 => f16.iter().map(|x| x.to_f32()).collect(),
        _ => bf16.iter().map(|x| x.to_f32()).collect(),
    };
    Stored {
        values,
        f16,
        bf16,
        dtype,
        sizes: (rows, columns),
        strides: (columns, 1),
    }
}

#[test]
fn products_are_as_exact_as_float32() {
    let (m, n, k) = (40, 50, if cfg!(miri) { 64 } else { 896 });
    for (a_dtype, b_dtype) in [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (2, 2)] {
        let a = of_any_bits((m, k), a_dtype, 1);
        let b = of_any_bits((k, n), b_dtype, 2);
        let wants = expected(&a, &b, 1.0, 0.0);
        for level in Level::available() {
            let mut c = vec![f32::NAN; m * n];
            let c_matrix = MatrixMut::new(&mut c, m, n);
            product_at(
                level,
                c_matrix,
                Then::Write,
                1.0,
                &[(a.matrix(), b.matrix())],
            );
            for (c, want) in c.iter().zip(&wants) {
                // Numbers of 16 bits less would be wrong by 2^-17, and by more in sums that never cancel.
                let error = (c - want).abs() / want;
                assert!(error < 2e-6, "{level} {a_dtype} {b_dtype}: {c} for {want}");
            }
        }
    }
}

#[test]
fn what_is_not_finite_stays_so() {
    for level in Level::available() {
        let mut a = Stored::new((40, 64), 0, 0, 0, 1);
        (a.values[5], a.values[64 + 7]) = (f32::INFINITY, f32::NAN);
        let ones = [bf16::from_f32(1.0); 64 * 48];
        let b = Matrix::at(Floats::Bf16(&ones), 0, (64, 48), (48, 1));
        let mut c = vec![0.0; 40 * 48];
        let c_matrix = MatrixMut::new(&mut c, 40, 48);
        product_at(level, c_matrix, Then::Write, 1.0, &[(a.matrix(), b)]);
        assert!(c[..48].iter().all(|&c| c == f32::INFINITY), "{level}");
        assert!(c[48..96].iter().all(|c| c.is_nan()), "{level}");
        assert!(c[96..].iter().all(|c| c.is_finite()), "{level}");
    }
}

#[test]
#[should_panic(expected = "sizes of a product")]
fn sizes_that_do_not_fit_are_a_bug_of_the_caller() {
    let mut c = [0.0];
    let (a, b) = (Matrix::new(&[1.0, 2.0], 1, 2), Matrix::new(&[1.0], 1, 1));
    product(MatrixMut::new(&mut c, 1, 1), Then::Write, 1.0, a, b);
}

#[test]
#[should_panic]
fn a_matrix_cannot_reach_beyond_its_slice() {
    Matrix::strided(&[1.0, 2.0], (2, 1), (2, 1));
}
