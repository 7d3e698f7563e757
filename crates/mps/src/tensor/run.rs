//! Runs of products: operands are copied where no engine takes their layout.

use candle_core::{Layout, Shape};

use super::matmul::Product;
use super::operand::{Backend, Operand};
use super::{Error, Result};
use crate::plan::steel::MAX_ADDEND_ROOM_ROWS;
use crate::plan::{Gemm, Plan, Reject, Slot};

/// Room behind a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Nothing that is counted on.
    None,
    /// What a kernel reads that adds to the result in place.
    ForAddend,
}

impl Room {
    /// In elements, behind a result of `shape`.
    pub(super) fn elements(self, shape: &Shape) -> usize {
        let columns = shape.dims().last().copied().unwrap_or(1);
        match self {
            Self::None => 0,
            Self::ForAddend => MAX_ADDEND_ROOM_ROWS * columns,
        }
    }
}

/// A product with all dimensions in place: `(.., M, K)`, `(.., K, N)` and `(.., M, N)`, none of them 0.
pub(super) struct Run<'a, S> {
    product: Product,
    left: Operand<'a, S>,
    right: Operand<'a, S>,
    pub addend: Option<Operand<'a, S>>,
    /// A contiguous storage of `shape`; without an addend it is what is added to, if anything.
    result: S,
    shape: Shape,
    /// The result has all the room behind it that a kernel may read.
    extended: bool,
}

impl<'a, S: Backend> Run<'a, S> {
    /// A product without an addend of its own.
    pub fn new(
        product: Product,
        [left, right]: [Operand<'a, S>; 2],
        result: S,
        shape: &Shape,
    ) -> Self {
        Self {
            product,
            left,
            right,
            addend: None,
            result,
            shape: shape.clone(),
            extended: false,
        }
    }

    /// Runs it. Where the result's buffer is too short for what a kernel reads of it, what is returned
    /// is a longer one.
    pub fn run(mut self) -> Result<S> {
        let policy = self.result.policy()?;
        loop {
            match self.with_gemm(|gemm| policy.plan(gemm, self.product.engine))? {
                Ok((plan, _)) => return self.run_plan(&plan),
                Err(reject) => self.copy(reject)?,
            }
        }
    }

    fn run_plan(self, plan: &Plan) -> Result<S> {
        let factors = [(Slot::Left, &self.left), (Slot::Right, &self.right)];
        let addend = self.addend.as_ref().map(|addend| (Slot::Addend, addend));
        let operands = factors.into_iter().chain(addend);
        let operands: Vec<_> = operands.map(|(slot, o)| (slot, o.storage())).collect();
        S::run(plan, &operands, self.result)
    }

    fn with_gemm<T>(&self, plan: impl FnOnce(&Gemm<'_>) -> T) -> Result<T> {
        let addend = self.addend.as_ref().map(Operand::view).transpose()?;
        Ok(plan(&Gemm {
            left: &self.left.view()?,
            right: &self.right.view()?,
            addend: addend.as_ref(),
            result: &self.result.view(&Layout::contiguous(&self.shape))?,
            alpha: self.product.alpha,
            beta: self.product.beta,
        }))
    }

    /// Copies the operand that `reject` names.
    fn copy(&mut self, reject: Reject) -> Result<()> {
        match reject.operand() {
            Some(Slot::Left) => self.left.copy(reject),
            Some(Slot::Right) => self.right.copy(reject),
            Some(Slot::Addend) => self.move_addend(reject),
            Some(Slot::Result) if !self.extended => self.extend_result(),
            _ => Err(Error::Limit(reject)),
        }
    }

    /// The addend becomes what the result holds.
    fn move_addend(&mut self, reject: Reject) -> Result<()> {
        let addend = self.addend.take().ok_or(Error::Limit(reject))?;
        let mut result = self.longer_result()?;
        let storage = addend.storage();
        storage.copy_strided_src(&mut result, 0, addend.layout())?;
        self.result = result;
        Ok(())
    }

    fn extend_result(&mut self) -> Result<()> {
        let mut result = self.longer_result()?;
        let layout = Layout::contiguous(&self.shape);
        self.result.copy_strided_src(&mut result, 0, &layout)?;
        self.result = result;
        Ok(())
    }

    fn longer_result(&mut self) -> Result<S> {
        self.extended = true;
        let (result, room) = (&self.result, Room::ForAddend.elements(&self.shape));
        result.allocate(self.shape.elem_count(), room, result.dtype())
    }
}
