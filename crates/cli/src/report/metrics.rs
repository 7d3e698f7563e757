//! Figures of a run by step, as `metrics.jsonl` has them.

use serde_json::{Map, Value};

/// Objects of the file, in its order.
#[derive(Debug, Default)]
pub struct Metrics {
    lines: Vec<Map<String, Value>>,
}

/// Place of a figure: step and value.
pub type Point = (f64, f64);

impl Metrics {
    /// Reads whole lines. A last one that has no end is being written, or its run was killed.
    ///
    /// # Errors
    /// With the number of a line that is no object.
    pub fn parse(text: &str) -> Result<Self, String> {
        let whole = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        let lines = whole.enumerate().map(|(i, line)| {
            let object = serde_json::from_str(line);
            object.map_err(|error| format!("line {}: {error}", i + 1))
        });
        Ok(Self {
            lines: lines.collect::<Result<_, _>>()?,
        })
    }

    /// Values of a figure that are numbers.
    pub fn series(&self, name: &str) -> Vec<Point> {
        self.beside(name, name)
    }

    /// Values of a figure in the lines that have `other` too.
    pub fn beside(&self, name: &str, other: &str) -> Vec<Point> {
        let lines = self.lines.iter().filter(|line| line.contains_key(other));
        let point = |line: &Map<String, Value>| {
            let number = |name: &str| line.get(name).and_then(Value::as_f64);
            Some((number("step")?, number(name)?))
        };
        lines.filter_map(point).collect()
    }

    /// The last step.
    pub fn last_step(&self) -> Option<u64> {
        let steps = self
            .lines
            .iter()
            .filter_map(|line| line.get("step")?.as_u64());
        steps.max()
    }

    /// The last value of a figure.
    pub fn last(&self, name: &str) -> Option<f64> {
        self.series(name).last().map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_by_name() {
        let text = "{\"step\":0,\"val_loss\":3.5,\"tokens_per_sec\":9}\n\
                    {\"step\":2,\"train_loss\":3.0,\"tokens_per_sec\":7}\n\
                    {\"step\":4,\"train_loss\":null}\n{\"step\":6,\"train";
        let metrics = Metrics::parse(text).unwrap();
        assert_eq!(metrics.series("train_loss"), [(2.0, 3.0)]);
        assert_eq!(metrics.beside("tokens_per_sec", "train_loss"), [(2.0, 7.0)]);
        assert_eq!(
            (metrics.last_step(), metrics.last("val_loss")),
            (Some(4), Some(3.5))
        );
        let wrong = Metrics::parse("{\"step\":1}\n[]\n").unwrap_err();
        assert!(wrong.starts_with("line 2: "), "{wrong}");
    }
}
