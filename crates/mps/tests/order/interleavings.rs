//! No interleaving breaks an order.

use crate::explore::{Dice, Failure, every, run};
use crate::gpu::Violation;
use crate::host::{Op, Rules};
use metal_candle_mps::order::{Call, PassesPerBuffer, Strategy, script};

pub const STRATEGIES: [Strategy; 3] = [
    Strategy::Blocking,
    Strategy::FenceBridge,
    Strategy::SameBuffer,
];
pub const CALLS: [Call; 2] = [Call::InOurEncoder, Call::InItsOwn];

/// What `synchronize` breaks by itself is left to a test of its own.
const MENU: [Op; 4] = [Op::Kernel, Op::Copy, Op::Mps, Op::ReadBack];

pub fn rules(
    strategy: Strategy,
    call: Call,
    passes_per_buffer: usize,
    one_at_a_time: bool,
) -> Rules {
    let passes =
        PassesPerBuffer::parse(Some(&passes_per_buffer.to_string())).expect("within the limit");
    // Two, so that they have to be put in order.
    let calls = 2;
    Rules {
        script: script(strategy, call, calls, passes),
        call,
        calls,
        passes_per_buffer,
        one_at_a_time,
    }
}

/// Programs of two threads with two operations each, as far as they have MPS work.
pub fn pairs() -> Vec<[Vec<Op>; 2]> {
    let two = || {
        MENU.iter()
            .flat_map(|&a| MENU.iter().map(move |&b| vec![a, b]))
    };
    let pairs = two().flat_map(|a| two().map(move |b| [a.clone(), b]));
    pairs
        .filter(|programs| programs.concat().contains(&Op::Mps))
        .collect()
}

fn every_pair(strategy: Strategy, call: Call, passes: usize, one_at_a_time: bool) -> usize {
    let rules = rules(strategy, call, passes, one_at_a_time);
    let runs = pairs().into_iter().map(|programs| every(&rules, &programs));
    let runs = runs.map(|result| {
        result.unwrap_or_else(|failure| panic!("{strategy} {call:?} {passes}: {failure:?}"))
    });
    runs.sum()
}

#[test]
fn two_threads_with_two_operations_each() {
    for (strategy, least) in STRATEGIES.into_iter().zip([50_000, 50_000, 1_000]) {
        for call in CALLS {
            for passes in [0, 1, 2] {
                let runs = every_pair(strategy, call, passes, false);
                assert!(runs > least, "{strategy} {call:?} {passes}: {runs}");
            }
            every_pair(strategy, call, 1, true);
        }
    }
}

#[test]
fn three_threads() {
    use Op::{Copy, Kernel, Mps, ReadBack};
    let programs: [[Vec<Op>; 3]; 4] = [
        [vec![Mps], vec![Mps], vec![Mps]],
        [vec![Mps, Kernel], vec![Kernel, Mps], vec![Kernel, Copy]],
        [vec![Mps], vec![Mps], vec![ReadBack, Kernel]],
        [vec![Mps, Mps], vec![Kernel, Copy], vec![Copy, Kernel]],
    ];
    for strategy in STRATEGIES {
        for call in CALLS {
            let rules = rules(strategy, call, 1, false);
            for programs in &programs {
                every(&rules, programs)
                    .unwrap_or_else(|failure| panic!("{strategy} {call:?}: {failure:?}"));
            }
        }
    }
}

#[test]
fn random_programs_of_three_threads_with_three_operations_each() {
    let mut dice = Dice::new(1);
    for round in 0..30_000 {
        let (strategy, call) = (STRATEGIES[round % 3], CALLS[round / 3 % 2]);
        let rules = rules(strategy, call, dice.roll(6), dice.roll(2) == 0);
        let mut program = || {
            (0..3)
                .map(|_| MENU[dice.roll(MENU.len())])
                .collect::<Vec<_>>()
        };
        let programs = [program(), program(), program()];
        let result = run(&rules, &programs, |threads| dice.roll(threads));
        result.unwrap_or_else(|failure| panic!("{strategy} {call:?}: {failure:?}"));
    }
}

/// Not ours: after its wait, `Device::synchronize` forgets the outputs of passes that other threads
/// have encoded meanwhile. So we drain with `flush_and_wait_current`.
#[test]
fn candles_synchronize_forgets_what_other_threads_encode() {
    let rules = rules(Strategy::Blocking, Call::InItsOwn, 50, false);
    let programs = [
        vec![Op::Synchronize],
        vec![Op::Kernel, Op::Copy, Op::Kernel],
    ];
    let failure = every(&rules, &programs);
    assert!(
        matches!(
            failure,
            Err(Failure {
                violation: Violation::Unordered { .. },
                ..
            })
        ),
        "{failure:?}"
    );
}
