//! The scripts, step by step: what a Mac is told to do.

use metal_candle_mps::order::{Call, Fence, PassesPerBuffer, Step, Step::*, Strategy, script};

fn steps(strategy: Strategy, call: Call) -> Vec<Step> {
    script(
        strategy,
        call,
        1,
        PassesPerBuffer::parse(Some("50")).expect("a small number"),
    )
}

#[test]
fn blocking_in_our_encoder() {
    let expected = [
        FlushAndWait,
        OpenBuffer,
        OpenEncoder,
        EncodeCall(0),
        EndEncoder,
        Commit,
        WaitCompleted,
    ];
    assert_eq!(steps(Strategy::Blocking, Call::InOurEncoder), expected);
}

#[test]
fn blocking_in_its_own() {
    let expected = [
        FlushAndWait,
        OpenBuffer,
        EncodeCall(0),
        Commit,
        WaitCompleted,
    ];
    assert_eq!(steps(Strategy::Blocking, Call::InItsOwn), expected);
}

#[test]
fn fence_bridge_in_our_encoder() {
    let expected = [
        EnterCandle,
        Nop,
        Update(Fence::Before),
        LeaveCandle,
        ForceCommit { requests: 50 },
        OpenBuffer,
        OpenEncoder,
        Wait(Fence::Before),
        EncodeCall(0),
        Update(Fence::After),
        EndEncoder,
        Commit,
        EnterCandle,
        Wait(Fence::After),
        RegisterResult,
        Nop,
        LeaveCandle,
    ];
    assert_eq!(steps(Strategy::FenceBridge, Call::InOurEncoder), expected);
}

#[test]
fn fence_bridge_in_its_own() {
    let expected = [
        EnterCandle,
        Nop,
        Update(Fence::Before),
        LeaveCandle,
        ForceCommit { requests: 50 },
        OpenBuffer,
        OpenEncoder,
        Wait(Fence::Before),
        Nop,
        EndEncoder,
        Signal(1),
        Await(1),
        EncodeCall(0),
        Signal(2),
        Await(2),
        OpenEncoder,
        Nop,
        Update(Fence::After),
        EndEncoder,
        Commit,
        EnterCandle,
        Wait(Fence::After),
        RegisterResult,
        Nop,
        LeaveCandle,
    ];
    assert_eq!(steps(Strategy::FenceBridge, Call::InItsOwn), expected);
}

#[test]
fn same_buffer_in_our_encoder() {
    let expected = [
        EnterCandlesBuffer,
        RegisterResult,
        OpenEncoder,
        Wait(Fence::Candles),
        EncodeCall(0),
        Update(Fence::Published),
        EndEncoder,
        LeaveCandle,
    ];
    assert_eq!(steps(Strategy::SameBuffer, Call::InOurEncoder), expected);
}

#[test]
fn same_buffer_in_its_own() {
    let expected = [
        EnterCandlesBuffer,
        RegisterResult,
        OpenEncoder,
        Wait(Fence::Candles),
        Nop,
        EndEncoder,
        Signal(1),
        Await(1),
        EncodeCall(0),
        Signal(2),
        Await(2),
        OpenEncoder,
        Nop,
        Update(Fence::Published),
        EndEncoder,
        LeaveCandle,
    ];
    assert_eq!(steps(Strategy::SameBuffer, Call::InItsOwn), expected);
}

#[test]
fn calls_are_put_in_order() {
    let passes = PassesPerBuffer::parse(None).expect("the default");
    let blocking = script(Strategy::Blocking, Call::InItsOwn, 3, passes);
    let expected = [
        FlushAndWait,
        OpenBuffer,
        EncodeCall(0),
        Signal(1),
        Await(1),
        EncodeCall(1),
        Signal(2),
        Await(2),
        EncodeCall(2),
        Commit,
        WaitCompleted,
    ];
    assert_eq!(blocking, expected);
    let same = script(Strategy::SameBuffer, Call::InItsOwn, 2, passes);
    let expected = [
        EncodeCall(0),
        Signal(2),
        Await(2),
        EncodeCall(1),
        Signal(3),
        Await(3),
    ];
    assert!(same.windows(6).any(|steps| steps == expected), "{same:?}");
    let serial = script(Strategy::FenceBridge, Call::InOurEncoder, 2, passes);
    assert!(
        serial
            .windows(2)
            .any(|steps| steps == [EncodeCall(0), EncodeCall(1)]),
        "{serial:?}"
    );
}

#[test]
fn candle_is_asked_once_where_it_commits_at_every_request() {
    for (passes, requests) in [("0", 1), ("1", 1), ("2", 2), ("4096", 4096)] {
        let passes = PassesPerBuffer::parse(Some(passes)).expect("within the limit");
        let steps = script(Strategy::FenceBridge, Call::InOurEncoder, 1, passes);
        assert!(
            steps.contains(&ForceCommit { requests }),
            "{passes:?}: {steps:?}"
        );
    }
}
