//! Figures that are drawn, and how.

use super::chart::{Chart, Series};
use super::metrics::{Metrics, Point};
use super::run::Run;

/// Largest value that is drawn: beyond it the range of an axis is no number.
const LARGEST: f64 = 1e100;

/// Charts of what a run measured; those without a point are left out.
pub fn of(run: &Run) -> Vec<Chart> {
    let metrics = &run.metrics;
    let charts = [
        loss(run),
        single("Learning rate", metrics.series("learning_rate"), true),
        speed(metrics),
        single(
            "Peak memory, GB",
            gigabytes(metrics.series("peak_memory_bytes")),
            true,
        ),
        norm(metrics),
        single(
            "Reward accuracy",
            metrics.series("rewards/accuracies"),
            true,
        ),
        single("Reward margin", metrics.series("rewards/margins"), false),
    ];
    charts.into_iter().filter_map(drawable).collect()
}

fn drawable(mut chart: Chart) -> Option<Chart> {
    for series in &mut chart.series {
        series
            .points
            .retain(|(step, value)| step.abs() < LARGEST && value.abs() < LARGEST);
    }
    chart.series.retain(|series| !series.points.is_empty());
    (!chart.series.is_empty()).then_some(chart)
}

fn loss(run: &Run) -> Chart {
    let series = |name, figure, is_smoothed| Series {
        name,
        points: run.metrics.series(figure),
        is_smoothed,
    };
    let outcome = run.told.outcome.as_ref();
    let kept = outcome.filter(|outcome| outcome.kept_step != outcome.steps);
    Chart {
        title: "Loss",
        series: vec![
            series("train", "train_loss", true),
            series("valid", "val_loss", false),
        ],
        from_zero: false,
        is_wide: true,
        mark: kept.map(|outcome| (outcome.kept_step as f64, "kept")),
    }
}

/// Speed of training; that of evaluations is another one.
fn speed(metrics: &Metrics) -> Chart {
    let points = metrics.beside("tokens_per_sec", "train_loss");
    single("Trained tokens per second", points, true)
}

fn norm(metrics: &Metrics) -> Chart {
    let mut chart = single(
        "Gradient norm before clipping",
        metrics.series("grad_norm"),
        true,
    );
    chart
        .series
        .iter_mut()
        .for_each(|series| series.is_smoothed = true);
    chart
}

fn single(title: &'static str, points: Vec<Point>, from_zero: bool) -> Chart {
    let series = Series {
        name: "",
        points,
        is_smoothed: false,
    };
    Chart {
        title,
        series: vec![series],
        from_zero,
        is_wide: false,
        mark: None,
    }
}

fn gigabytes(points: Vec<Point>) -> Vec<Point> {
    let points = points.into_iter();
    points.map(|(step, bytes)| (step, bytes / 1e9)).collect()
}
