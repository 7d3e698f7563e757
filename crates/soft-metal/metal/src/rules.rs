//! The rules of Metal, and what happens when one is broken.
//!
//! A rule broken by a call panics there, as Metal's validation layer aborts there. A rule broken while the "GPU" works,
//! or by a destructor, is recorded; [`crate::Guard`] turns what was recorded into a failure at the end of a test.

use crate::gpu::lock;
use std::fmt::{Display, Formatter, Result};
use std::sync::Mutex;

macro_rules! rules {
    ($($name:ident: $text:literal,)*) => {
        /// A rule of Metal, or of the classes built on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule {
            $(#[doc = $text] $name,)*
        }

        impl Rule {
            /// Every rule that is enforced.
            pub const ALL: &[Rule] = &[$(Rule::$name,)*];

            /// How messages name it.
            pub fn text(self) -> &'static str {
                match self { $(Rule::$name => $text,)* }
            }
        }
    };
}

rules! {
    EncodeAfterCommit: "encoding after commit",
    CommitTwice: "commit after commit",
    TwoOpenEncoders: "encoding while another encoder is open",
    CommitWithOpenEncoder: "commit with an open encoder",
    EncoderReleasedOpen: "encoder released while open",
    EndEncodingTwice: "endEncoding twice",
    CommandAfterEnd: "command after endEncoding",
    WaitBeforeCommit: "wait before commit",
    HandlerAfterCommit: "handler added after commit",
    EventWithOpenEncoder: "event with an open encoder",
    PrivateContents: "contents of private memory",
    BufferRange: "range outside a buffer",
    BlitOverlap: "a blit overlaps itself",
    SetBytesLimit: "setBytes of more than 4096 bytes",
    ArgumentIndex: "index past the last of an argument table",
    ThreadgroupSize: "threadgroup size",
    ThreadgroupMemory: "threadgroup memory",
    EmptyGrid: "empty grid",
    NoPipeline: "dispatch without a pipeline",
    WrongClass: "wrong class",
    NotResident: "removal of what a residency set does not hold",
    UseAfterRelease: "use after release",
    Leak: "leak",
    EmptyMatrix: "matrix without elements",
    RowBytes: "rowBytes",
    MatrixBytes: "matrixBytes",
    DataType: "data type",
    MatrixRange: "matrix outside its buffer",
    OperandShape: "operand shape",
    ArrayRange: "array outside its buffer",
    ArrayDimension: "dimension of an array",
    ReadAfterWrite: "read after write, unordered",
    WriteAfterRead: "write after read, unordered",
    WriteAfterWrite: "write after write, unordered",
    EncodedLater: "executed after a conflicting command that was encoded later",
    MissingBarrier: "concurrent dispatches overlap without a memory barrier",
    HostAccess: "host access before completion",
    UnwrittenRead: "read of memory that nothing has written",
    KernelOutOfBounds: "kernel outside its buffers",
    Misaligned: "vector access at an address that its type does not allow",
    DivisionByZero: "integer division by zero",
    DifferentBarriers: "threads at different barriers",
}

/// A broken rule.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// Rule, object and place.
    pub message: String,
}

impl Display for Violation {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(&self.message)
    }
}

fn violation(rule: Rule, object: impl Display, place: impl Display) -> Violation {
    Violation { rule, message: format!("Metal rule broken ({}): {object}: {place}", rule.text()) }
}

/// For calls: nothing after this line would happen on a Mac.
pub(crate) fn broken(rule: Rule, object: impl Display, place: impl Display) -> ! {
    panic!("{}", violation(rule, object, place))
}

static VIOLATIONS: Mutex<Vec<Violation>> = Mutex::new(Vec::new());
static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// For work in progress and destructors: recorded, and gone on with.
pub(crate) fn report(rule: Rule, object: impl Display, place: impl Display) {
    lock(&VIOLATIONS).push(violation(rule, object, place));
}

/// For what works without the validation layer but would not pass it; once per text.
pub(crate) fn warn(text: String) {
    let mut warnings = lock(&WARNINGS);
    if !warnings.contains(&text) {
        warnings.push(text);
    }
}

/// What was recorded since the last call.
pub fn take_violations() -> Vec<Violation> {
    std::mem::take(&mut lock(&VIOLATIONS))
}

/// What Metal's validation layer would say about things that work without it.
pub fn take_warnings() -> Vec<String> {
    std::mem::take(&mut lock(&WARNINGS))
}
