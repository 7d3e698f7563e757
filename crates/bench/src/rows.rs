//! Rows from what the contenders answered.

use crate::answer::Answer;
use crate::record::{Pass, Row, Subject};
use metal_candle_kernels::case::Cost;
use std::collections::BTreeMap;

/// Measurements that the passes of one case have in common.
#[derive(Clone, Debug)]
pub struct Measured {
    /// An operation, `train` or `generate`.
    pub op: String,
    /// Sizes.
    pub case: String,
    /// Dtype.
    pub dtype: String,
    /// Where the sizes come from.
    pub source: String,
    /// What this program measured.
    pub ours: Answer,
    /// What others measured, by name.
    pub rivals: BTreeMap<&'static str, Answer>,
}

impl Measured {
    /// The row of a pass, if this program ran it.
    pub fn row(&self, pass: Pass, cost: Cost, tokens: Option<usize>) -> Option<Row> {
        let rivals = self.rivals.iter();
        let rivals = rivals.filter_map(|(name, answer)| {
            let figures = answer.figures(pass)?;
            Some(((*name).to_owned(), figures))
        });
        Some(Row {
            subject: Subject {
                op: self.op.clone(),
                case: self.case.clone(),
                dtype: self.dtype.clone(),
                pass,
            },
            source: self.source.clone(),
            flops: cost.flops,
            bytes: cost.bytes,
            runs_per_wait: 1,
            tokens,
            ours: self.ours.figures(pass)?,
            rivals: rivals.collect(),
            ceiling: None,
        })
    }

    /// Versions that rivals told.
    pub fn versions(&self) -> BTreeMap<String, String> {
        let versions = self.rivals.values().flat_map(|answer| &answer.versions);
        versions
            .map(|(name, version)| (name.clone(), version.clone()))
            .collect()
    }
}
