//! Choice among what ways of ordering came to, one process for each.

use crate::child::{End, Ended};
use metal_candle_mps::order::Strategy;
use metal_candle_mps::policy::Calibration;

/// Outcome of all ways that were tried.
pub struct Chosen {
    /// Measurements with the way that passed, or else with the last that came to an end.
    pub calibration: Option<Calibration>,
    /// Ways that did not come to an end, and why.
    pub left_out: Vec<(Strategy, String)>,
}

/// Tries `strategies` by `attempt`, one after another.
///
/// # Errors
/// Those of `attempt`.
pub fn choose<E>(
    strategies: &[Strategy],
    mut attempt: impl FnMut(Strategy) -> Result<Ended, E>,
) -> Result<Chosen, E> {
    let mut chosen = Chosen {
        calibration: None,
        left_out: vec![],
    };
    for &strategy in strategies {
        match measured(&attempt(strategy)?) {
            Ok(calibration) => {
                let passed = calibration.litmus.passed();
                chosen.calibration = Some(calibration);
                if passed {
                    break;
                }
            }
            Err(reason) => chosen.left_out.push((strategy, reason)),
        }
    }
    Ok(chosen)
}

/// The measurements that a process printed.
fn measured(ended: &Ended) -> Result<Calibration, String> {
    match &ended.end {
        End::Passed => serde_json::from_str(&ended.stdout)
            .map_err(|error| format!("its answer is none: {error}")),
        other => Err(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_candle_mps::order::{Key, LitmusRounds};

    const BOTH: [Strategy; 2] = [Strategy::FenceBridge, Strategy::Blocking];

    fn measured_with(strategy: Strategy, failures: usize) -> Ended {
        let calibration = Calibration {
            key: Key::new("applegpu_g13g", "Apple M1", "24B83", strategy),
            litmus: LitmusRounds::new(8, failures),
            overhead_micros: 1.0,
            cells: vec![],
            softmax: vec![],
        };
        ended(End::Passed, &serde_json::to_string(&calibration).unwrap())
    }

    fn ended(end: End, stdout: &str) -> Ended {
        Ended {
            end,
            stdout: stdout.into(),
            secs: 1.0,
        }
    }

    fn hung() -> Ended {
        let end = End::TimedOut {
            limit_secs: 3.0,
            has_gone: true,
        };
        ended(end, "")
    }

    /// Strategy and failures of what is kept, and what is left out, if each strategy comes to what `attempt` gives.
    fn kept(attempt: impl Fn(Strategy) -> Ended) -> (Option<(Strategy, usize)>, Vec<String>) {
        let chosen = choose(&BOTH, |strategy| Ok::<_, ()>(attempt(strategy))).unwrap();
        let left_out = chosen.left_out.into_iter();
        (
            chosen
                .calibration
                .map(|it| (it.key.strategy, it.litmus.failures)),
            left_out
                .map(|(strategy, why)| format!("{strategy}: {why}"))
                .collect(),
        )
    }

    #[test]
    fn the_first_that_passes_is_kept_and_no_other_is_tried() {
        let all_pass = kept(|strategy| match strategy {
            Strategy::FenceBridge => measured_with(strategy, 0),
            _ => panic!("it is not needed"),
        });
        assert_eq!(all_pass, (Some((Strategy::FenceBridge, 0)), vec![]));
        let bridge_fails =
            kept(|strategy| measured_with(strategy, usize::from(strategy == BOTH[0])));
        assert_eq!(bridge_fails, (Some((Strategy::Blocking, 0)), vec![]));
    }

    #[test]
    fn one_that_hangs_or_crashes_is_left_out() {
        let crash = || End::Crashed {
            how: "signal: 6 (SIGABRT)".into(),
        };
        let (calibration, left_out) = kept(|strategy| match strategy {
            Strategy::FenceBridge => hung(),
            _ => measured_with(strategy, 0),
        });
        assert_eq!(calibration, Some((Strategy::Blocking, 0)));
        assert_eq!(left_out, ["FenceBridge: timed out: killed after 3 s"]);
        let (calibration, left_out) = kept(|strategy| match strategy {
            Strategy::FenceBridge => measured_with(strategy, 2),
            _ => ended(crash(), ""),
        });
        assert_eq!(calibration, Some((Strategy::FenceBridge, 2)));
        assert_eq!(left_out, ["Blocking: crashed: signal: 6 (SIGABRT)"]);
        let (calibration, left_out) = kept(|_| ended(End::Passed, "{}"));
        assert_eq!(calibration, None);
        assert!(left_out[0].contains("its answer is none"), "{left_out:?}");
    }
}
