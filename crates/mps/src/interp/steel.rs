//! Candle's GEMM, tile by tile.

use super::{Array, Fault, Host, batch_offset, size};
use crate::plan::steel::{constant, index};
use crate::plan::{DataType, SteelPlan};

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
                if let Some(tile) = Tile::new(plan, &kernel, [y, x])? {
                    self.multiply_tile(&kernel, &matrix, &tile)?;
                }
            }
        }
        Ok(())
    }

    fn multiply_tile(
        &mut self,
        kernel: &Kernel,
        matrix: &Operands,
        tile: &Tile,
    ) -> Result<(), Fault> {
        let mut values = vec![vec![0.0; tile.columns]; tile.rows];
        for (row, column) in tile.elements() {
            values[row][column] = self.dot(kernel, matrix, tile, [row, column])?;
        }
        if let Some(addend) = &matrix.addend {
            self.add(&mut values, kernel, tile, addend)?;
        }
        for (row, column) in tile.elements() {
            let element = (tile.first_row + row) * matrix.ldd + tile.first_column + column;
            self.write(matrix.result.at(element), values[row][column])?;
        }
        Ok(())
    }

    fn dot(
        &self,
        kernel: &Kernel,
        matrix: &Operands,
        tile: &Tile,
        [row, column]: [usize; 2],
    ) -> Result<f64, Fault> {
        let (row, column) = (tile.first_row + row, tile.first_column + column);
        let mut sum = 0.0;
        for k in 0..kernel.depth {
            let left = stored([row, k], kernel.transposed[0], matrix.lda);
            let right = stored([k, column], kernel.transposed[1], matrix.ldb);
            sum += self.read(matrix.left.at(left))? * self.read(matrix.right.at(right))?;
        }
        Ok(sum)
    }

    /// Each thread has one row of its lane and reads all others of the tile that follow it in steps
    /// of the lane; what lies below the result is read and forgotten.
    fn add(
        &self,
        values: &mut [Vec<f64>],
        kernel: &Kernel,
        tile: &Tile,
        addend: &Addend,
    ) -> Result<(), Fault> {
        let [alpha, beta] = if kernel.axpby {
            addend.factors
        } else {
            [1.0, 1.0]
        };
        let lanes = 8 * kernel.simdgroups[0];
        for row in (0..kernel.tile[0]).filter(|row| row % lanes < tile.rows) {
            for column in 0..tile.columns {
                let down = (tile.first_row + row) * addend.ldc;
                let across = (tile.first_column + column) * addend.fdc;
                let read = self.read(addend.array.at(down + across))?;
                if let Some(values) = values.get_mut(row) {
                    values[column] = alpha * values[column] + beta * read;
                }
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

/// What the name, the constants and the parameters say about every tile.
struct Kernel {
    dtype: DataType,
    transposed: [bool; 2],
    /// Rows and columns.
    tile: [usize; 2],
    /// Along rows and columns.
    simdgroups: [usize; 2],
    /// Elements of the inner dimension that are multiplied.
    depth: usize,
    axpby: bool,
}

impl Kernel {
    fn new(plan: &SteelPlan) -> Result<Self, Fault> {
        let unknown = || Fault::Kernel {
            name: plan.kernel.clone(),
        };
        let parts: Vec<&str> = plan.kernel.split('_').collect();
        let ["gemm", letters, operand, result, sizes @ ..] = &parts[..] else {
            return Err(unknown());
        };
        let sizes: Option<Vec<usize>> = sizes.iter().map(|size| size.parse().ok()).collect();
        let Some(&[bm, bn, bk, wm, wn]) = sizes.as_deref() else {
            return Err(unknown());
        };
        let (transposed, dtype) = (transposed(letters), dtype(operand));
        let (Some(transposed), Some(dtype), true) = (transposed, dtype, operand == result) else {
            return Err(unknown());
        };
        check_group(plan, [32, wn, wm])?;
        let params = &plan.params;
        let aligned = bk
            * size(
                "gemm_k_iterations_aligned",
                params.gemm_k_iterations_aligned,
            )?;
        let inner = size("K", params.k)?;
        let whole = is_set(plan, constant::ALIGN_K);
        Ok(Self {
            dtype,
            transposed,
            tile: [bm, bn],
            simdgroups: [wm, wn],
            depth: if whole { aligned } else { aligned.max(inner) },
            axpby: is_set(plan, constant::DO_AXPBY),
        })
    }
}

fn transposed(letters: &str) -> Option<[bool; 2]> {
    match letters {
        "nn" => Some([false, false]),
        "nt" => Some([false, true]),
        "tn" => Some([true, false]),
        "tt" => Some([true, true]),
        _ => None,
    }
}

fn dtype(name: &str) -> Option<DataType> {
    match name {
        "f32" => Some(DataType::Float32),
        "f16" => Some(DataType::Float16),
        "bf16" => Some(DataType::BFloat16),
        _ => None,
    }
}

fn check_group(plan: &SteelPlan, expected: [usize; 3]) -> Result<(), Fault> {
    let got = plan.group;
    if got == expected {
        Ok(())
    } else {
        Err(Fault::Group { expected, got })
    }
}

fn is_set(plan: &SteelPlan, index: usize) -> bool {
    plan.constants.contains(&(index, true))
}

/// The four matrices of one threadgroup row of the batch, from their first elements.
struct Operands {
    left: Array,
    right: Array,
    addend: Option<Addend>,
    result: Array,
    lda: usize,
    ldb: usize,
    ldd: usize,
}

impl Operands {
    fn of_matrix(plan: &SteelPlan, kernel: &Kernel, z: usize) -> Result<Self, Fault> {
        let bound = |index| Array::bound(&plan.bindings, index, kernel.dtype);
        let addend = is_set(plan, constant::USE_OUT_SOURCE);
        let addend = addend.then(|| Addend::of_matrix(plan, bound(index::ADDEND)?, z));
        let params = &plan.params;
        Ok(Self {
            left: bound(index::LEFT)?.skip(skipped(plan, 0, params.batch_stride_a, z)?),
            right: bound(index::RIGHT)?.skip(skipped(plan, 1, params.batch_stride_b, z)?),
            addend: addend.transpose()?,
            result: bound(index::RESULT)?.skip(times(params.batch_stride_d, z)),
            lda: size("lda", params.lda)?,
            ldb: size("ldb", params.ldb)?,
            ldd: size("ldd", params.ldd)?,
        })
    }
}

/// C from its first element, and what is done with it.
struct Addend {
    array: Array,
    ldc: usize,
    fdc: usize,
    factors: [f64; 2],
}

impl Addend {
    fn of_matrix(plan: &SteelPlan, bound: Array, z: usize) -> Result<Self, Fault> {
        let missing = Fault::Unbound {
            index: index::ADDEND_PARAMS,
        };
        let params = plan.addend.ok_or(missing)?;
        Ok(Self {
            array: bound.skip(skipped(plan, 2, params.batch_stride_c, z)?),
            ldc: size("ldc", params.ldc)?,
            fdc: size("fdc", params.fdc)?,
            factors: [params.alpha, params.beta].map(f64::from),
        })
    }
}

fn times(stride: u64, z: usize) -> usize {
    (stride as usize).saturating_mul(z)
}

/// Elements to matrix `z` of an operand.
fn skipped(plan: &SteelPlan, operand: usize, only_stride: u64, z: usize) -> Result<usize, Fault> {
    if !is_set(plan, constant::HAS_BATCH) {
        return Ok(times(only_stride, z));
    }
    let ndim = size("batch_ndim", plan.params.batch_ndim)?;
    let strides = plan.batch_strides.get(operand * ndim..(operand + 1) * ndim);
    let strides = strides.ok_or(Fault::Unbound {
        index: index::BATCH_STRIDES,
    })?;
    let shape = plan.batch_shape.get(..ndim).ok_or(Fault::Unbound {
        index: index::BATCH_SHAPE,
    })?;
    Ok(batch_offset(z, shape, strides))
}

/// What one threadgroup computes.
struct Tile {
    first_row: usize,
    first_column: usize,
    rows: usize,
    columns: usize,
}

impl Tile {
    /// The tile of a threadgroup, or none where there is nothing for it to do.
    fn new(plan: &SteelPlan, kernel: &Kernel, [y, x]: [usize; 2]) -> Result<Option<Self>, Fault> {
        let (params, log) = (&plan.params, plan.params.swizzle_log);
        let (y, x) = ((y << log) + (x & ((1 << log) - 1)), x >> log);
        if params.tiles_n as usize <= x || params.tiles_m as usize <= y {
            return Ok(None);
        }
        let [bm, bn] = kernel.tile;
        let (first_row, first_column) = (y * bm, x * bn);
        let covered = |aligned, full: usize, len: i32, first: usize| {
            let left = len as i64 - first as i64;
            match is_set(plan, aligned) {
                true => Ok(full),
                false if left > 0 => Ok(full.min(left as usize)),
                false => Err(Fault::Argument {
                    name: "rows or columns of a tile",
                    value: left,
                }),
            }
        };
        Ok(Some(Self {
            first_row,
            first_column,
            rows: covered(constant::ALIGN_M, bm, params.m, first_row)?,
            columns: covered(constant::ALIGN_N, bn, params.n, first_column)?,
        }))
    }

    fn elements(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (rows, columns) = (self.rows, self.columns);
        (0..rows).flat_map(move |row| (0..columns).map(move |column| (row, column)))
    }
}
