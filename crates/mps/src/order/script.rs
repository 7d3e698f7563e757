//! The steps of each strategy.

use super::{PassesPerBuffer, Strategy};

/// Call that encodes an MPS kernel.
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
    /// Encodes the call of the plan with this index. Its calls write different elements of the
    /// result, but are put in order all the same: whether passes may write the same words at the
    /// same time is not written anywhere.
    EncodeCall(usize),
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

/// The steps that encode so many calls of one kernel by this strategy.
///
/// The operands are kept alive by the caller until the last step; the result has been allocated
/// before the first, and the host gives it to others after the last.
pub fn script(strategy: Strategy, call: Call, calls: usize, passes: PassesPerBuffer) -> Vec<Step> {
    match strategy {
        Strategy::Blocking => {
            let encode = unfenced(call, calls);
            [
                &[FlushAndWait, OpenBuffer],
                &encode[..],
                &[Commit, WaitCompleted],
            ]
            .concat()
        }
        Strategy::FenceBridge => fence_bridge(call, calls, passes),
        Strategy::SameBuffer => {
            let encode = fenced(call, calls, Fence::Candles, Fence::Published);
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
fn fence_bridge(call: Call, calls: usize, passes: PassesPerBuffer) -> Vec<Step> {
    let requests = passes.requests();
    let before = [
        EnterCandle,
        Nop,
        Update(Fence::Before),
        LeaveCandle,
        ForceCommit { requests },
        OpenBuffer,
    ];
    let encode = fenced(call, calls, Fence::Before, Fence::After);
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
fn unfenced(call: Call, calls: usize) -> Vec<Step> {
    match call {
        Call::InOurEncoder => {
            let encode: Vec<_> = (0..calls).map(EncodeCall).collect();
            [&[OpenEncoder], &encode[..], &[EndEncoder]].concat()
        }
        Call::InItsOwn => in_turn(calls, 0),
    }
}

/// After one fence and before another. Events put passes that MPS opens between passes of ours,
/// which have the fences.
fn fenced(call: Call, calls: usize, wait: Fence, update: Fence) -> Vec<Step> {
    let last = calls as u64 + 1;
    match call {
        Call::InOurEncoder => {
            let encode: Vec<_> = (0..calls).map(EncodeCall).collect();
            let (begin, end) = ([OpenEncoder, Wait(wait)], [Update(update), EndEncoder]);
            [&begin[..], &encode, &end].concat()
        }
        Call::InItsOwn => [
            &[
                OpenEncoder,
                Wait(wait),
                Nop,
                EndEncoder,
                Signal(1),
                Await(1),
            ][..],
            &in_turn(calls, 1),
            &[Signal(last), Await(last)],
            &[OpenEncoder, Nop, Update(update), EndEncoder],
        ]
        .concat(),
    }
}

/// Calls whose passes MPS opens, one after the other; `signaled` is the event's value so far.
fn in_turn(calls: usize, signaled: u64) -> Vec<Step> {
    let mut steps = vec![];
    for call in 0..calls {
        if call > 0 {
            let value = signaled + call as u64;
            steps.extend([Signal(value), Await(value)]);
        }
        steps.push(EncodeCall(call));
    }
    steps
}
