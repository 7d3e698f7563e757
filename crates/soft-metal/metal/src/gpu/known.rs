//! Which passes are known to have finished.

use std::collections::BTreeMap;

/// Numbers of passes, as merged ranges `first -> last`.
#[derive(Clone, Default, Debug)]
pub struct Known(BTreeMap<u64, u64>);

impl Known {
    pub fn contains(&self, pass: u64) -> bool {
        self.0.range(..=pass).next_back().is_some_and(|(_, last)| *last >= pass)
    }

    pub fn insert(&mut self, pass: u64) {
        self.merge(pass, pass);
    }

    pub fn extend(&mut self, other: &Known) {
        for (&first, &last) in &other.0 {
            self.merge(first, last);
        }
    }

    fn merge(&mut self, mut first: u64, mut last: u64) {
        if let Some((&f, &l)) = self.0.range(..=first).next_back()
            && l + 1 >= first
        {
            first = f;
            last = last.max(l);
        }
        while let Some((&f, &l)) = self.0.range(first..=last + 1).next() {
            last = last.max(l);
            self.0.remove(&f);
        }
        self.0.insert(first, last);
    }
}

#[cfg(test)]
mod tests {
    use super::Known;

    #[test]
    fn ranges_merge() {
        let mut known = Known::default();
        for pass in [5, 1, 3, 2, 9] {
            known.insert(pass);
        }
        assert_eq!(known.0.iter().map(|(a, b)| (*a, *b)).collect::<Vec<_>>(), [(1, 3), (5, 5), (9, 9)]);
        let mut other = Known::default();
        other.merge(4, 7);
        known.extend(&other);
        assert_eq!(known.0.iter().map(|(a, b)| (*a, *b)).collect::<Vec<_>>(), [(1, 7), (9, 9)]);
        assert!(known.contains(6) && !known.contains(8) && known.contains(9) && !known.contains(0));
    }
}
