//! Values along a side of a chart.

use super::super::words;

/// Range of values, and where on the drawing it lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    is_whole: bool,
}

impl Axis {
    /// Axis of all values, between two places.
    pub fn of(values: impl Iterator<Item = f64>, (from, to): (f64, f64)) -> Self {
        let range = (f64::INFINITY, f64::NEG_INFINITY);
        let (low, high) = values.fold(range, |(low, high), x| (low.min(x), high.max(x)));
        let is_empty = !(low.is_finite() && high.is_finite());
        let (low, high) = if is_empty { (0.0, 1.0) } else { (low, high) };
        Self {
            low,
            high,
            from,
            to,
            is_whole: false,
        }
    }

    /// The axis, with marks at whole numbers only.
    pub fn whole(self) -> Self {
        let high = self.high.max(self.low + 1.0);
        Self {
            high,
            is_whole: true,
            ..self
        }
    }

    /// The axis with room beyond the values, below only where they do not begin at 0.
    pub fn padded(self, from_zero: bool) -> Self {
        let span = self.high - self.low;
        let least = match self.high == 0.0 && self.low == 0.0 {
            true => 1.0,
            false => self.high.abs() * 0.02,
        };
        let room = (span * 0.06).max(least);
        let low = if from_zero { self.low } else { self.low - room };
        Self {
            low,
            high: self.high + room,
            ..self
        }
    }

    /// Place of a value.
    pub fn place(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        self.from + share * (self.to - self.from)
    }

    /// At most about `n` round values with their texts.
    pub fn marks(&self, n: usize) -> Vec<(f64, String)> {
        let step = round_step((self.high - self.low) / n as f64);
        let step = if self.is_whole { step.max(1.0) } else { step };
        let first = (self.low / step).ceil();
        let marks = (0..=2 * n).map(|i| (first + i as f64) * step);
        let marks = marks.take_while(|value| *value <= self.high + step * 1e-9);
        marks
            .map(|value| (value, words::mark(value, step)))
            .collect()
    }
}

/// The next of 1, 2 and 5 times a power of ten.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let digits = [1.0, 2.0, 5.0, 10.0];
    let next = digits
        .into_iter()
        .find(|digit| digit * power >= step * 0.999);
    next.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<String> {
        axis.marks(5).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn marks_are_round_numbers() {
        let axis = Axis::of([1.13, 3.9].into_iter(), (0.0, 100.0));
        assert_eq!(texts(&axis), ["2", "3"]);
        let axis = Axis::of([0.0, 0.52].into_iter(), (0.0, 100.0));
        assert_eq!(texts(&axis), ["0.0", "0.2", "0.4"]);
        let steps = Axis::of([0.0, 4.0].into_iter(), (0.0, 100.0)).whole();
        assert_eq!(texts(&steps), ["0", "1", "2", "3", "4"]);
        assert_eq!(steps.place(1.0), 25.0);
    }

    #[test]
    fn every_value_has_a_place() {
        for values in [
            vec![],
            vec![7.0],
            vec![0.0],
            vec![1e-300, 2e-300],
            vec![-5.0, -5.0],
        ] {
            let axis = Axis::of(values.iter().copied(), (0.0, 100.0)).padded(false);
            for value in values {
                let place = axis.place(value);
                assert!((0.0..=100.0).contains(&place), "{value} {place}");
            }
            assert!(axis.marks(5).len() < 12);
        }
    }
}
