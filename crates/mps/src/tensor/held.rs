//! The operands of a product, copied where no engine takes their layout.

use candle_core::{Layout, Shape};

use super::backend::Backend;
use super::{Error, Result};
use crate::plan::steel::MAX_ADDEND_ROOM_ROWS;
use crate::plan::{Engine, Gemm, Reject, Slot};

/// A storage that is borrowed as it is, or was copied.
pub(crate) enum Held<'a, S> {
    Borrowed(&'a S, Layout),
    Copied(S, Layout),
}

impl<S: Backend> Held<'_, S> {
    pub fn storage(&self) -> &S {
        match self {
            Self::Borrowed(storage, _) => storage,
            Self::Copied(storage, _) => storage,
        }
    }

    fn layout(&self) -> &Layout {
        match self {
            Self::Borrowed(_, layout) | Self::Copied(_, layout) => layout,
        }
    }

    /// Replaces a borrowed storage by a contiguous copy; a copy that was no help is an error.
    fn copy(&mut self, reject: Reject) -> Result<()> {
        let Self::Borrowed(storage, layout) = self else {
            return Err(Error::Limit(reject));
        };
        let shape = layout.shape().clone();
        let mut copy = storage.allocate(shape.elem_count(), 0, storage.dtype())?;
        storage.copy_strided_src(&mut copy, 0, layout)?;
        *self = Self::Copied(copy, Layout::contiguous(shape));
        Ok(())
    }
}

/// Room behind a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// Nothing that is counted on.
    None,
    /// What a kernel reads that adds to the result in place.
    ForAddend,
}

impl Room {
    /// In elements, behind a result of `shape`.
    fn elements(self, shape: &Shape) -> usize {
        let columns = shape.dims().last().copied().unwrap_or(1);
        match self {
            Self::None => 0,
            Self::ForAddend => MAX_ADDEND_ROOM_ROWS * columns,
        }
    }
}

/// `alpha * left * right + beta * addend`, with all dimensions in place: `(.., M, K)`, `(.., K, N)`
/// and `(.., M, N)`, none of them 0.
pub(crate) struct Request<'a, S> {
    pub left: (&'a S, Layout),
    pub right: (&'a S, Layout),
    pub addend: Option<(&'a S, Layout)>,
    pub alpha: f64,
    pub beta: f64,
    pub engine: Option<Engine>,
}

/// The storages that a plan was made for.
pub(crate) struct Prepared<'a, S> {
    pub left: Held<'a, S>,
    pub right: Held<'a, S>,
    pub addend: Option<Held<'a, S>>,
    pub result: S,
    shape: Shape,
    extended: bool,
}

impl<S: Backend> Request<'_, S> {
    /// Runs the request into a new storage.
    pub fn run(self, shape: &Shape, room: Room) -> Result<S> {
        let storage = self.left.0;
        let room = room.elements(shape);
        let result = storage.allocate(shape.elem_count(), room, storage.dtype())?;
        self.run_into(result, shape)
    }

    /// Runs the request into `result`, a contiguous storage of `shape`, or, where its buffer is too
    /// short for what a kernel reads of it, into a longer one.
    pub fn run_into(self, result: S, shape: &Shape) -> Result<S> {
        let (alpha, beta, engine) = (self.alpha, self.beta, self.engine);
        let policy = result.policy()?;
        let hold = |(storage, layout)| Held::Borrowed(storage, layout);
        let mut prepared = Prepared {
            left: hold(self.left),
            right: hold(self.right),
            addend: self.addend.map(hold),
            result,
            shape: shape.clone(),
            extended: false,
        };
        loop {
            match prepared.plan(|gemm| policy.plan(gemm, engine), alpha, beta)? {
                Ok((plan, _)) => return S::run(&plan, prepared),
                Err(reject) => prepared.copy(reject)?,
            }
        }
    }
}

impl<S: Backend> Prepared<'_, S> {
    fn plan<T>(
        &self,
        plan: impl Fn(&Gemm<'_>) -> std::result::Result<T, Reject>,
        alpha: f64,
        beta: f64,
    ) -> Result<std::result::Result<T, Reject>> {
        let view = |held: &Held<'_, S>| held.storage().view(held.layout());
        let (left, right) = (view(&self.left)?, view(&self.right)?);
        let addend = self.addend.as_ref().map(view).transpose()?;
        let result = self.result.view(&Layout::contiguous(&self.shape))?;
        Ok(plan(&Gemm {
            left: &left,
            right: &right,
            addend: addend.as_ref(),
            result: &result,
            alpha,
            beta,
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
        let Some(addend) = self.addend.take() else {
            return Err(Error::Limit(reject));
        };
        self.result = self.with_room()?;
        addend
            .storage()
            .copy_strided_src(&mut self.result, 0, addend.layout())?;
        Ok(())
    }

    fn extend_result(&mut self) -> Result<()> {
        let mut result = self.with_room()?;
        let layout = Layout::contiguous(&self.shape);
        self.result.copy_strided_src(&mut result, 0, &layout)?;
        self.result = result;
        Ok(())
    }

    /// A storage for the result with all the room behind it that a kernel may read.
    fn with_room(&mut self) -> Result<S> {
        self.extended = true;
        let (result, room) = (&self.result, Room::ForAddend.elements(&self.shape));
        result.allocate(self.shape.elem_count(), room, result.dtype())
    }
}

impl<S: Backend> Prepared<'_, S> {
    /// Every operand with its slot, but for the result.
    pub fn read(&self) -> impl Iterator<Item = (Slot, &S)> {
        let addend = self
            .addend
            .as_ref()
            .map(|held| (Slot::Addend, held.storage()));
        let factors = [
            (Slot::Left, self.left.storage()),
            (Slot::Right, self.right.storage()),
        ];
        factors.into_iter().chain(addend)
    }
}
