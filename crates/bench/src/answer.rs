//! Measurements of one contender, as processes tell each other: one JSON object on one line.

use crate::clock::Spread;
use crate::record::{Figures, Pass};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Seconds of single runs, and what else a contender tells.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Answer {
    /// Seconds by pass and by the way it was computed; a contender with one way leaves its name empty.
    #[serde(default)]
    pub secs: BTreeMap<Pass, BTreeMap<String, Vec<f64>>>,
    /// The most memory held at once.
    #[serde(default)]
    pub peak_bytes: BTreeMap<Pass, u64>,
    /// Versions of what computed.
    #[serde(default)]
    pub versions: BTreeMap<String, String>,
    /// Why there are no figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Answer {
    /// Adds runs of a pass that is computed in one way.
    pub fn add(&mut self, pass: Pass, secs: Vec<f64>) {
        let ways = self.secs.entry(pass).or_default();
        ways.entry(String::new()).or_default().extend(secs);
    }

    /// Adds what the same contender measured later.
    pub fn merge(&mut self, later: Self) {
        for (pass, ways) in later.secs {
            let own = self.secs.entry(pass).or_default();
            for (how, secs) in ways {
                own.entry(how).or_default().extend(secs);
            }
        }
        for (pass, bytes) in later.peak_bytes {
            let own = self.peak_bytes.entry(pass).or_default();
            *own = bytes.max(*own);
        }
        self.versions.extend(later.versions);
        self.error = self.error.take().or(later.error);
    }

    /// The figures of the best way.
    pub fn figures(&self, pass: Pass) -> Option<Figures> {
        let ways = self.secs.get(&pass)?.iter();
        let spreads = ways.filter_map(|(how, secs)| Some((how, Spread::of(secs.clone())?)));
        let best = spreads.min_by(|a, b| a.1.median_secs.total_cmp(&b.1.median_secs));
        let (how, spread) = best?;
        Some(Figures {
            spread,
            how: Some(how.clone()).filter(|how| !how.is_empty()),
            peak_bytes: self.peak_bytes.get(&pass).copied(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Answer {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_best_way_counts() {
        let answer = answer(
            r#"{"secs": {"forward+backward": {"eager": [2.0, 4.0, 3.0], "compile": [2.5, 2.6, 2.4]}}}"#,
        );
        let figures = answer.figures(Pass::Both).unwrap();
        assert_eq!(figures.how.as_deref(), Some("compile"));
        assert_eq!(figures.spread.median_secs, 2.5);
        assert_eq!(answer.figures(Pass::Forward), None);
    }

    #[test]
    fn rounds_add_up() {
        let mut first = answer(r#"{"secs": {"step": {"": [1.0]}}, "peak_bytes": {"step": 9}}"#);
        first.merge(answer(
            r#"{"secs": {"step": {"": [3.0, 5.0]}}, "peak_bytes": {"step": 7}}"#,
        ));
        let figures = first.figures(Pass::Step).unwrap();
        assert_eq!((figures.spread.runs, figures.spread.median_secs), (3, 3.0));
        assert_eq!((figures.peak_bytes, figures.how), (Some(9), None));
    }
}
