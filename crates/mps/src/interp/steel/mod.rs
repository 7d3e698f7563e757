//! Candle's GEMM, tile by tile.

mod kernel;
mod operands;
mod tile;

use super::{Fault, Host};
use crate::plan::SteelPlan;
use kernel::Kernel;
use operands::{Addend, Operands};
use tile::Tile;

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

fn is_set(plan: &SteelPlan, index: usize) -> bool {
    plan.constants.contains(&(index, true))
}
