"""When transformers' EarlyStoppingCallback ends a run, and which evaluation its Trainer takes for the best.

Writes early_stopping/cases.json: [{losses, patience, threshold, ends_after, best}]

    ends_after  number of losses that were seen when the run ended; null where it did not
    best        number of the best of those that were seen, from 1
"""

import itertools
from types import SimpleNamespace

import torch
from common import GOLDEN, generator, save_json_lines
from transformers import EarlyStoppingCallback, Trainer, TrainerControl, TrainerState

COURSES = [
    [3.0, 2.0, 1.0],
    [1.0, 2.0, 3.0, 4.0],
    [2.0, 2.0, 2.0],
    [3.0, 2.9, 2.8, 2.7, 2.6],
    [3.0, 2.0, 2.5, 1.9, 2.1, 2.2, 2.3],
    [2.0, 2.1, 1.99, 1.98, 1.97],
]


def write_all():
    (GOLDEN / "early_stopping").mkdir(exist_ok=True)
    random = [torch.rand(12, generator=generator(seed), dtype=torch.float64).tolist() for seed in range(3)]
    cases = itertools.product(COURSES + random, [1, 2, 3], [0.0, 0.05, 0.5])
    save_json_lines(GOLDEN / "early_stopping/cases.json", [make_case(*case) for case in cases])


def make_case(losses, patience, threshold):
    args = SimpleNamespace(metric_for_best_model="loss", greater_is_better=False, save_strategy="steps")
    trainer = SimpleNamespace(args=args, state=TrainerState())
    control = TrainerControl()
    callback = EarlyStoppingCallback(patience, threshold)
    best, ends_after = None, None
    for number, loss in enumerate(losses, 1):
        # The order of Trainer._maybe_log_save_evaluate.
        metrics = {"eval_loss": loss}
        callback.on_evaluate(args, trainer.state, control, metrics)
        if Trainer._determine_best_metric(trainer, metrics, None):
            best = number
        if control.should_training_stop:
            ends_after = number
            break
    return dict(losses=losses, patience=patience, threshold=threshold, ends_after=ends_after, best=best)
