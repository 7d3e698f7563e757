//! Nothing can be left out of a script: without any one of its steps some interleaving is wrong.

use crate::explore::{Failure, every};
use crate::gpu::Violation;
use crate::host::{Op, Rules};
use crate::interleavings::{CALLS, STRATEGIES, pairs, rules};
use metal_candle_mps::order::{Call, Step, Strategy};

/// The first interleaving that is wrong.
fn failure(rules: &Rules) -> Option<Failure> {
    let alone = [
        Op::Mps,
        Op::Kernel,
        Op::Mps,
        Op::Copy,
        Op::Mps,
        Op::ReadBack,
        Op::Kernel,
    ]
    .to_vec();
    let alone = every(rules, &[alone]).err();
    alone.or_else(|| {
        pairs()
            .iter()
            .find_map(|programs| every(rules, programs).err())
    })
}

#[test]
fn every_step_is_needed() {
    for strategy in STRATEGIES {
        for call in CALLS {
            for passes in [0, 1, 2] {
                let whole = rules(strategy, call, passes, false);
                for at in 0..whole.script.len() {
                    let mut rules = whole.clone();
                    let removed = rules.script.remove(at);
                    let found = failure(&rules);
                    assert!(
                        found.is_some(),
                        "{strategy} {call:?} {passes}: {removed:?} at {at} is not missed"
                    );
                }
            }
        }
    }
}

#[test]
fn every_request_of_a_forced_commit_is_needed() {
    for passes in [1, 2, 3] {
        let mut rules = rules(Strategy::FenceBridge, Call::InOurEncoder, passes, false);
        for step in &mut rules.script {
            if let Step::ForceCommit { requests } = step {
                *requests -= 1;
            }
        }
        let found = failure(&rules).map(|failure| failure.violation);
        assert_eq!(found, Some(Violation::WaitForNothing), "{passes}");
    }
}

/// What is found where each kind of step is missing.
#[test]
fn what_is_missing_is_found_as_what_it_is() {
    let without = |strategy, call, step: Step| {
        let mut rules = rules(strategy, call, 1, false);
        let at = rules
            .script
            .iter()
            .position(|s| *s == step)
            .expect("the step is in the script");
        rules.script.remove(at);
        failure(&rules).map(|failure| failure.violation)
    };
    let unordered = |violation| matches!(violation, Some(Violation::Unordered { .. }));
    use metal_candle_mps::order::Fence::*;
    use {Call::*, Step::*, Strategy::*};
    for step in [FlushAndWait, WaitCompleted] {
        assert!(unordered(without(Blocking, InItsOwn, step)), "{step:?}");
    }
    for step in [Wait(Before), Wait(After), RegisterResult] {
        assert!(
            unordered(without(FenceBridge, InOurEncoder, step)),
            "{step:?}"
        );
    }
    for step in [Wait(Candles), RegisterResult] {
        assert!(
            unordered(without(SameBuffer, InOurEncoder, step)),
            "{step:?}"
        );
    }
    for step in [Await(1), Await(2), Await(3)] {
        assert!(unordered(without(FenceBridge, InItsOwn, step)), "{step:?}");
        assert!(unordered(without(SameBuffer, InItsOwn, step)), "{step:?}");
    }
    for step in [Signal(1), Signal(2), Signal(3)] {
        assert_eq!(
            without(FenceBridge, InItsOwn, step),
            Some(Violation::WaitForever),
            "{step:?}"
        );
    }
    for step in [Update(Before), Update(After)] {
        assert_eq!(
            without(FenceBridge, InOurEncoder, step),
            Some(Violation::WaitForNothing),
            "{step:?}"
        );
    }
    assert_eq!(
        without(FenceBridge, InOurEncoder, Nop),
        Some(Violation::EmptyPass)
    );
    assert_eq!(
        without(FenceBridge, InOurEncoder, LeaveCandle),
        Some(Violation::NestedLock)
    );
}
