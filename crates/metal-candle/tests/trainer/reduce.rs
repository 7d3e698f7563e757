//! Workers that train one model together, as threads.

use crate::run::{batch, endless, model_with, options, run, run_with, values};
use candle_core::{Device, Tensor};
use metal_candle::lora::LoraConfig;
use metal_candle::train::{Event, Optimizer, Reduce, Result, Rule};
use std::sync::{Barrier, Mutex};

/// What the workers share.
#[derive(Debug)]
struct Shared {
    n_workers: usize,
    values: Mutex<Vec<Option<Tensor>>>,
    barrier: Barrier,
}

/// One of the workers.
#[derive(Debug)]
struct Worker<'a> {
    rank: usize,
    shared: &'a Shared,
}

impl Reduce for Worker<'_> {
    fn rank(&self) -> usize {
        self.rank
    }

    fn n_workers(&self) -> usize {
        self.shared.n_workers
    }

    fn all_reduce(&self, values: &Tensor) -> Result<Tensor> {
        self.shared.values.lock().unwrap()[self.rank] = Some(values.clone());
        self.shared.barrier.wait();
        let all = self.shared.values.lock().unwrap().clone();
        self.shared.barrier.wait();
        let sum = all.into_iter().flatten().reduce(|a, b| (a + b).unwrap());
        Ok(sum.unwrap())
    }
}

fn losses(events: &[Event]) -> Vec<f64> {
    let losses = events.iter().filter_map(|event| match event {
        Event::Step { loss, .. } => Some(*loss),
        _ => None,
    });
    losses.collect()
}

/// The micro-batches of each step: three, so that two workers have different numbers of them.
fn steps() -> impl Iterator<Item = Vec<metal_candle::data::Batch>> {
    endless(2).zip(0..).map(|(mut first, i)| {
        first.extend([batch(1, 7 * i + 3), batch(3, i + 11)]);
        first
    })
}

#[test]
fn workers_train_what_one_trains_alone() {
    let config = LoraConfig::default();
    let alone = model_with(&config, &Device::Cpu);
    let folder = tempfile::tempdir().unwrap();
    let want = run(
        &alone.0,
        &alone.1,
        &options(4),
        folder.path(),
        steps(),
        usize::MAX,
    );
    let want_tokens = want.result.unwrap().trained_tokens;
    for n_workers in [2, 4] {
        let shared = Shared {
            n_workers,
            values: Mutex::new(vec![None; n_workers]),
            barrier: Barrier::new(n_workers),
        };
        let work = |rank| {
            let folder = tempfile::tempdir().unwrap();
            let (model, parameters) = model_with(&config, &Device::Cpu);
            let mut optimizer = Optimizer::new(Rule::default(), &parameters).unwrap();
            let (options, worker) = (
                options(4),
                Worker {
                    rank,
                    shared: &shared,
                },
            );
            let what = (&model, &parameters, &options, folder.path());
            let run = run_with(&mut optimizer, what, steps(), usize::MAX, Some(&worker));
            assert_eq!(run.result.unwrap().trained_tokens, want_tokens);
            (losses(&run.events), values(&parameters))
        };
        let results: Vec<_> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..n_workers)
                .map(|rank| scope.spawn(move || work(rank)))
                .collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap())
                .collect()
        });
        for (losses_of_worker, parameters) in &results {
            assert_eq!(*parameters, results[0].1, "all have the same bits");
            for (got, want) in losses_of_worker.iter().zip(losses(&want.events)) {
                assert!(
                    (got - want).abs() < 1e-5,
                    "{n_workers}: {got}, alone {want}"
                );
            }
            let pairs = parameters.iter().zip(values(&alone.1));
            for (got, want) in pairs.flat_map(|(a, b)| a.iter().copied().zip(b)) {
                assert!(
                    (got - want).abs() < 1e-5,
                    "{n_workers}: {got}, alone {want}"
                );
            }
        }
    }
}
