//! The steps of each strategy.

use super::{PassesPerBuffer, Strategy};

/// How an MPS kernel is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// Into an encoder of ours, which can wait for fences: `MPSNDArrayMatrixMultiplication` with
    /// `encodeToCommandEncoder`.
    InOurEncoder,
    /// Into encoders that MPS opens on the command buffer, out of reach of fences:
    /// `MPSMatrixMultiplication`, `MPSMatrixSoftMax`.
    InItsOwn,
}

/// A fence. Those of a bridge are new for every script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fence {
    /// Updated when candle's work so far is done.
    Before,
    /// Updated when the MPS work is done.
    After,
    /// Every fence of candle's passes that may be unfinished.
    Candles,
    /// The fence that candle's later passes wait for on behalf of the result.
    Published,
}

/// One thing to do. None of them computes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// candle commits its command buffer, and the host waits until that has completed.
    FlushAndWait,
    /// Takes candle's lock and its compute encoder.
    EnterCandle,
    /// Takes candle's lock and its command buffer, in which candle has ended its encoder.
    EnterCandlesBuffer,
    /// Tells candle that the pass writes the result. Passes that write nothing that candle knows
    /// of are not waited for by its later ones.
    RegisterResult,
    /// Gives candle's lock back.
    LeaveCandle,
    /// Asks candle for its encoder so many times, giving it back each time: candle commits.
    ForceCommit {
        /// Requests.
        requests: usize,
    },
    /// Opens a command buffer on our own queue.
    OpenBuffer,
    /// Opens a serial compute encoder on the command buffer.
    OpenEncoder,
    /// The open pass begins after the fence was updated.
    Wait(Fence),
    /// Updates the fence at the end of the open pass.
    Update(Fence),
    /// Dispatches a kernel that does nothing: whether fences of an empty pass count is unknown.
    Nop,
    /// Encodes all calls of the plan.
    EncodeMps,
    /// Ends the encoder of ours.
    EndEncoder,
    /// Sets the script's event to this value when all that is in the command buffer so far is done.
    Signal(u64),
    /// What follows in the command buffer begins after the event has reached this value.
    Await(u64),
    /// Commits our command buffer.
    Commit,
    /// The host waits until our command buffer has completed.
    WaitCompleted,
}

use Step::*;

/// The steps that encode one MPS call by this strategy.
///
/// Its operands are kept alive by the caller until the last step; the result has been allocated
/// before the first, and the host gives it to others after the last.
pub fn script(strategy: Strategy, call: Call, passes: PassesPerBuffer) -> Vec<Step> {
    match strategy {
        Strategy::Blocking => [
            &[FlushAndWait, OpenBuffer],
            plain(call),
            &[Commit, WaitCompleted],
        ]
        .concat(),
        Strategy::FenceBridge => fence_bridge(call, passes),
        Strategy::SameBuffer => {
            let encode = fenced(call, Fence::Candles, Fence::Published);
            [
                &[EnterCandlesBuffer, RegisterResult],
                &encode[..],
                &[LeaveCandle],
            ]
            .concat()
        }
    }
}

/// candle's passes so far -> `Before` -> ours -> `After` -> candle's passes from now on.
///
/// A fence is waited for only by what is committed after its update: so candle is made to commit
/// before ours is, and ours is before candle is told to wait.
fn fence_bridge(call: Call, passes: PassesPerBuffer) -> Vec<Step> {
    let requests = passes.requests();
    let before = [
        EnterCandle,
        Nop,
        Update(Fence::Before),
        LeaveCandle,
        ForceCommit { requests },
        OpenBuffer,
    ];
    let encode = fenced(call, Fence::Before, Fence::After);
    let after = [
        Commit,
        EnterCandle,
        Wait(Fence::After),
        RegisterResult,
        Nop,
        LeaveCandle,
    ];
    [&before[..], &encode, &after].concat()
}

/// Where nothing else is in flight.
fn plain(call: Call) -> &'static [Step] {
    match call {
        Call::InOurEncoder => &[OpenEncoder, EncodeMps, EndEncoder],
        Call::InItsOwn => &[EncodeMps],
    }
}

/// After one fence and before another. Events put passes that MPS opens between passes of ours,
/// which have the fences.
fn fenced(call: Call, wait: Fence, update: Fence) -> Vec<Step> {
    match call {
        Call::InOurEncoder => vec![
            OpenEncoder,
            Wait(wait),
            EncodeMps,
            Update(update),
            EndEncoder,
        ],
        Call::InItsOwn => [
            &[
                OpenEncoder,
                Wait(wait),
                Nop,
                EndEncoder,
                Signal(1),
                Await(1),
            ][..],
            &[EncodeMps, Signal(2), Await(2)],
            &[OpenEncoder, Nop, Update(update), EndEncoder],
        ]
        .concat(),
    }
}
