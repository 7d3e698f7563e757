//! Curves between the axes.

use super::super::metrics::Point;
use super::{Axis, Series};

/// Most points of a curve: of more, the lowest and the highest of neighbours are drawn.
const POINTS: usize = 800;

/// Points below which each has a dot.
const MANY: usize = 40;

/// Points from which on a curve is smoothed: what is smoothed lags behind a short run.
const SMOOTHED: usize = 100;

/// Weight of the points before in a smoothed curve.
const WEIGHT: f64 = 0.6;

/// The curve of a series, in the colour of its number.
pub fn curve(i: usize, series: &Series, axes: (&Axis, &Axis)) -> String {
    let points = &series.points;
    let is_long = points.len() >= MANY;
    let drawn = thinned(points);
    let dots = match is_long {
        true => points.last().map_or(String::new(), |last| dot(*last, axes)),
        false => points.iter().map(|point| dot(*point, axes)).collect(),
    };
    let lines = match points.len() >= SMOOTHED && series.is_smoothed {
        true => {
            let raw = path("raw", &drawn, axes);
            raw + &path("line", &thinned(&smoothed(points)), axes)
        }
        false => path("line", &drawn, axes),
    };
    format!("<g class=\"s{i}\">{lines}{dots}</g>")
}

fn path(class: &str, points: &[Point], (x, y): (&Axis, &Axis)) -> String {
    let places = points.iter().enumerate().map(|(i, (step, value))| {
        let letter = if i == 0 { 'M' } else { 'L' };
        format!("{letter}{:.1} {:.1}", x.place(*step), y.place(*value))
    });
    format!(
        "<path class=\"{class}\" d=\"{}\"/>",
        places.collect::<String>()
    )
}

/// Point that tells its numbers to a mouse that rests on it.
fn dot((step, value): Point, (x, y): (&Axis, &Axis)) -> String {
    let (at, over) = (x.place(step), y.place(value));
    format!(
        "<circle cx=\"{at:.1}\" cy=\"{over:.1}\" r=\"3\"><title>step {step}: {value:.4e}</title></circle>"
    )
}

/// Exponential mean, without the weight of what is not there before the first point, as TensorBoard smooths.
fn smoothed(points: &[Point]) -> Vec<Point> {
    let (mut sum, mut weights) = (0.0, 0.0);
    let point = |(step, value): &Point| {
        sum = WEIGHT * sum + (1.0 - WEIGHT) * value;
        weights = WEIGHT * weights + (1.0 - WEIGHT);
        (*step, sum / weights)
    };
    points.iter().map(point).collect()
}

fn thinned(points: &[Point]) -> Vec<Point> {
    if points.len() <= POINTS {
        return points.to_vec();
    }
    let size = points.len().div_ceil(POINTS / 2);
    let mut kept: Vec<Point> = points.chunks(size).flat_map(ends).collect();
    // The end is where a reader looks.
    kept.extend(points.last());
    kept
}

/// The lowest and the highest of neighbours, in their order.
fn ends(points: &[Point]) -> Vec<Point> {
    let low = points.iter().min_by(|a, b| a.1.total_cmp(&b.1));
    let high = points.iter().max_by(|a, b| a.1.total_cmp(&b.1));
    let mut ends: Vec<Point> = low.into_iter().chain(high).copied().collect();
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_seen_among_many_points() {
        let mut points: Vec<Point> = (0..100_000).map(|i| (f64::from(i), 1.0)).collect();
        points[54_321].1 = 9.0;
        let drawn = thinned(&points);
        assert!(drawn.len() <= POINTS + 1, "{}", drawn.len());
        assert!(drawn.contains(&(54_321.0, 9.0)));
        assert_eq!(drawn.last(), points.last());
    }

    /// TensorBoard: `last = last * w + (1 - w) * value`, over `1 - w^n`.
    #[test]
    fn smoothing_has_no_start_of_its_own() {
        let points = [(1.0, 4.0), (2.0, 1.0), (3.0, 1.0)];
        let means = smoothed(&points);
        let expected = [4.0, 1.36 / 0.64, 1.216 / 0.784];
        for ((_, mean), expected) in means.into_iter().zip(expected) {
            assert!((mean - expected).abs() < 1e-12, "{mean} {expected}");
        }
    }
}
