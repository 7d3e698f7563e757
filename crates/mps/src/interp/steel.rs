//! Candle's GEMM, tile by tile.

use std::ops::Range;

use candle_core::DType;

use super::{Fault, Host, Place, batch_offset, check_group, size};
use crate::plan::SteelPlan;
use crate::plan::steel::{constant, index};

impl Host {
    /// Runs the dispatch of `plan`. Of the addend exactly what the kernel reads is read.
    ///
    /// # Errors
    ///
    /// A [`Fault`]; tiles before the faulty one have been written.
    pub fn multiply_steel(&mut self, plan: &SteelPlan) -> Result<(), Fault> {
        let kernel = Kernel::new(plan)?;
        let [columns, rows, matrices] = plan.grid;
        for z in 0..matrices {
            let matrix = Operands::of_matrix(plan, &kernel, z)?;
            for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
                if let Some(tile) = kernel.tile(plan, [y, x])? {
                    self.multiply_tile(&kernel, &matrix, &tile)?;
                }
            }
        }
        Ok(())
    }

    /// Every element of a tile, given by its rows and columns of the result.
    fn multiply_tile(
        &mut self,
        kernel: &Kernel,
        matrix: &Operands,
        [rows, columns]: &[Range<usize>; 2],
    ) -> Result<(), Fault> {
        let mut values = vec![];
        for (row, column) in rows
            .clone()
            .flat_map(|r| columns.clone().map(move |c| (r, c)))
        {
            values.push((row, column, self.dot(kernel, matrix, [row, column])?));
        }
        if let Some(addend) = &matrix.addend {
            self.read_addend(kernel, addend, [rows, columns])?;
            for (row, column, value) in &mut values {
                let read = self.read(addend.element(*row, *column))?;
                *value = addend.alpha * *value + addend.beta * read;
            }
        }
        for (row, column, value) in values {
            self.write(matrix.result.skip(row * matrix.ldd + column), value)?;
        }
        Ok(())
    }

    fn dot(
        &self,
        kernel: &Kernel,
        matrix: &Operands,
        [row, column]: [usize; 2],
    ) -> Result<f64, Fault> {
        let [left_transposed, right_transposed] = kernel.transposed;
        let mut sum = 0.0;
        for k in 0..kernel.depth {
            let left = stored([row, k], left_transposed, matrix.lda);
            let right = stored([k, column], right_transposed, matrix.ldb);
            sum += self.read(matrix.left.skip(left))? * self.read(matrix.right.skip(right))?;
        }
        Ok(sum)
    }

    /// Each thread has one row of its lane and reads all others of the tile that follow it in steps
    /// of the lane; what lies below the result is read and forgotten.
    fn read_addend(
        &self,
        kernel: &Kernel,
        addend: &Addend,
        [rows, columns]: [&Range<usize>; 2],
    ) -> Result<(), Fault> {
        let lanes = 8 * kernel.simdgroups;
        for row in (0..kernel.tile[0]).filter(|row| row % lanes < rows.len()) {
            for column in columns.clone() {
                self.read(addend.element(rows.start + row, column))?;
            }
        }
        Ok(())
    }
}

/// Element of a row and a column, or of these of the transpose.
fn stored([row, column]: [usize; 2], transposed: bool, ld: usize) -> usize {
    match transposed {
        true => column * ld + row,
        false => row * ld + column,
    }
}

fn is_set(plan: &SteelPlan, index: usize) -> bool {
    plan.constants.contains(&(index, true))
}

/// Kernel as its name, constants and parameters describe every tile.
struct Kernel {
    dtype: DType,
    transposed: [bool; 2],
    /// Rows and columns.
    tile: [usize; 2],
    /// SIMD groups along the rows.
    simdgroups: usize,
    /// Elements of the inner dimension that are multiplied.
    depth: usize,
}

impl Kernel {
    fn new(plan: &SteelPlan) -> Result<Self, Fault> {
        let name = &plan.kernel;
        let unknown = || Fault::Kernel { name: name.clone() };
        let parts: Vec<&str> = name.split('_').collect();
        let ["gemm", letters, operand, result, sizes @ ..] = &parts[..] else {
            return Err(unknown());
        };
        let sizes: Option<Vec<usize>> = sizes.iter().map(|size| size.parse().ok()).collect();
        let Some(&[bm, bn, bk, wm, wn]) = sizes.as_deref() else {
            return Err(unknown());
        };
        let transposed = match *letters {
            "nn" => [false, false],
            "nt" => [false, true],
            "tn" => [true, false],
            "tt" => [true, true],
            _ => return Err(unknown()),
        };
        let dtype = match *operand {
            "f32" => DType::F32,
            "f16" => DType::F16,
            "bf16" => DType::BF16,
            _ => return Err(unknown()),
        };
        if operand != result {
            return Err(unknown());
        }
        check_group(plan.group, [32, wn, wm])?;
        let blocks = plan.params.gemm_k_iterations_aligned;
        let aligned = bk * size("gemm_k_iterations_aligned", blocks)?;
        let inner = size("K", plan.params.k)?;
        Ok(Self {
            dtype,
            transposed,
            tile: [bm, bn],
            simdgroups: wm,
            depth: match is_set(plan, constant::ALIGN_K) {
                true => aligned,
                false => aligned.max(inner),
            },
        })
    }

    /// Rows and columns of a threadgroup, or none where there is nothing for it to do.
    fn tile(
        &self,
        plan: &SteelPlan,
        [y, x]: [usize; 2],
    ) -> Result<Option<[Range<usize>; 2]>, Fault> {
        let (params, log) = (&plan.params, plan.params.swizzle_log);
        let (y, x) = ((y << log) + (x & ((1 << log) - 1)), x >> log);
        if params.tiles_n as usize <= x || params.tiles_m as usize <= y {
            return Ok(None);
        }
        let covered = |aligned, full: usize, len: i32, number: usize| {
            let first = number * full;
            let left = i64::from(len) - first as i64;
            match is_set(plan, aligned) {
                true => Ok(first..first + full),
                false if left > 0 => Ok(first..first + full.min(left as usize)),
                false => Err(Fault::Argument {
                    name: "rows or columns of a tile",
                    value: left,
                }),
            }
        };
        Ok(Some([
            covered(constant::ALIGN_M, self.tile[0], params.m, y)?,
            covered(constant::ALIGN_N, self.tile[1], params.n, x)?,
        ]))
    }
}

/// The four matrices of one threadgroup row of the batch, from their first elements.
struct Operands {
    left: Place,
    right: Place,
    addend: Option<Addend>,
    result: Place,
    lda: usize,
    ldb: usize,
    ldd: usize,
}

/// C from its first element, and what is done with it.
struct Addend {
    first: Place,
    ldc: usize,
    fdc: usize,
    alpha: f64,
    beta: f64,
}

impl Operands {
    fn of_matrix(plan: &SteelPlan, kernel: &Kernel, z: usize) -> Result<Self, Fault> {
        let params = &plan.params;
        let bound = |index, stride| {
            let place = Place::bound(&plan.bindings, index, kernel.dtype)?;
            Ok::<_, Fault>(place.skip(skipped(plan, index, stride, z)?))
        };
        let addend = is_set(plan, constant::USE_OUT_SOURCE).then(|| {
            let index = index::ADDEND_PARAMS;
            let params = plan.addend.ok_or(Fault::Unbound { index })?;
            let [alpha, beta] = match is_set(plan, constant::DO_AXPBY) {
                true => [params.alpha, params.beta].map(f64::from),
                false => [1.0, 1.0],
            };
            Ok::<_, Fault>(Addend {
                first: bound(index::ADDEND, params.batch_stride_c)?,
                ldc: size("ldc", params.ldc)?,
                fdc: size("fdc", params.fdc)?,
                alpha,
                beta,
            })
        });
        let result = Place::bound(&plan.bindings, index::RESULT, kernel.dtype)?;
        Ok(Self {
            left: bound(index::LEFT, params.batch_stride_a)?,
            right: bound(index::RIGHT, params.batch_stride_b)?,
            addend: addend.transpose()?,
            result: result.skip(times(params.batch_stride_d, z)),
            lda: size("lda", params.lda)?,
            ldb: size("ldb", params.ldb)?,
            ldd: size("ldd", params.ldd)?,
        })
    }
}

impl Addend {
    fn element(&self, row: usize, column: usize) -> Place {
        self.first.skip(row * self.ldc + column * self.fdc)
    }
}

fn times(stride: u64, z: usize) -> usize {
    (stride as usize).saturating_mul(z)
}

/// Elements to matrix `z` of an operand, whose strides are in the order of the argument table.
fn skipped(plan: &SteelPlan, operand: usize, only_stride: u64, z: usize) -> Result<usize, Fault> {
    if !is_set(plan, constant::HAS_BATCH) {
        return Ok(times(only_stride, z));
    }
    let ndim = size("batch_ndim", plan.params.batch_ndim)?;
    let unbound = |index| Fault::Unbound { index };
    let strides = plan.batch_strides.get(operand * ndim..(operand + 1) * ndim);
    let strides = strides.ok_or(unbound(index::BATCH_STRIDES))?;
    let shape = plan.batch_shape.get(..ndim);
    let shape = shape.ok_or(unbound(index::BATCH_SHAPE))?;
    Ok(batch_offset(z, shape, strides))
}
