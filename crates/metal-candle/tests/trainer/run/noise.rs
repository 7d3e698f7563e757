//! Noise in embeddings: in training alone, and the same whenever a run goes on.

use super::*;

fn noisy(iters: usize) -> Options {
    Options {
        neftune_noise_alpha: 5.0,
        ..options(iters)
    }
}

fn losses(run: &Recorded) -> (f64, f64) {
    let summary = run.result.as_ref().unwrap();
    (summary.first_val_loss.unwrap(), summary.last_loss)
}

#[test]
fn noise_is_in_training_and_not_in_evaluation() {
    let device = device();
    let of = |options: Options| {
        let folder = tempfile::tempdir().unwrap();
        let (model, parameters) = model_with(&LoraConfig::default(), &device);
        let run = run(
            &model,
            &parameters,
            &options,
            folder.path(),
            endless(2),
            usize::MAX,
        );
        losses(&run)
    };
    let ((plain_val, plain), (noisy_val, noisy)) = (of(options(1)), of(noisy(1)));
    assert_eq!(plain_val, noisy_val);
    assert_ne!(plain, noisy);
}

#[test]
fn a_run_with_noise_goes_on_to_the_bit() {
    let device = device();
    let train = |parts: &[usize]| {
        let (model, parameters) = model_with(&LoraConfig::default(), &device);
        let mut optimizer = Optimizer::new(Rule::default(), &parameters).unwrap();
        for &iters in parts {
            let (folder, options) = (tempfile::tempdir().unwrap(), noisy(iters));
            let batches = endless(2).skip(optimizer.steps());
            let run = (&model, &parameters, &options, folder.path());
            let run = run_with(&mut optimizer, run, batches, usize::MAX, None);
            run.result.unwrap();
        }
        values(&parameters)
    };
    assert_eq!(train(&[4]), train(&[2, 2]));
}
