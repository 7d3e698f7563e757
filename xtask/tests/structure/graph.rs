//! Arrows between named modules, and the circles that they close.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Files for each arrow, from importer to imported, the files that draw it.
#[derive(Default)]
pub struct Graph {
    arrows: BTreeMap<(String, String), BTreeSet<PathBuf>>,
}

impl Graph {
    /// Adds an arrow that `file` draws.
    pub fn add(&mut self, from: String, to: String, file: &Path) {
        self.arrows
            .entry((from, to))
            .or_default()
            .insert(file.to_owned());
    }

    /// Circles, each set of modules once.
    pub fn circles(&self) -> Vec<String> {
        let modules: BTreeSet<&str> = self.arrows.keys().map(|(from, _)| from.as_str()).collect();
        // The first way around each is kept.
        let circles = modules
            .iter()
            .rev()
            .filter_map(|module| self.way(module, module));
        let circles: BTreeMap<BTreeSet<&str>, Vec<&str>> = circles
            .map(|way| (way.iter().copied().collect(), way))
            .collect();
        circles.values().map(|way| self.shown(way)).collect()
    }

    /// Shortest way from one module to another, both ends included.
    fn way<'a>(&'a self, from: &'a str, to: &str) -> Option<Vec<&'a str>> {
        let mut ways = vec![vec![from]];
        let mut seen = BTreeSet::new();
        while !ways.is_empty() {
            let next = ways.iter().flat_map(|way| self.longer(way));
            let next: Vec<_> = next
                .filter(|way| way.last().is_some_and(|end| seen.insert(*end)))
                .collect();
            if let Some(way) = next.iter().find(|way| way.last() == Some(&to)) {
                return Some(way.clone());
            }
            ways = next;
        }
        None
    }

    fn longer<'a>(&'a self, way: &[&'a str]) -> Vec<Vec<&'a str>> {
        let arrows = self
            .arrows
            .keys()
            .map(|(from, to)| (from.as_str(), to.as_str()));
        let onwards = arrows.filter(|arrow| way.last() == Some(&arrow.0));
        onwards.map(|(_, to)| [way, &[to]].concat()).collect()
    }

    /// A way with the files that draw its arrows.
    fn shown(&self, way: &[&str]) -> String {
        let arrow = |pair: &[&str]| {
            let files = &self.arrows[&(pair[0].to_owned(), pair[1].to_owned())];
            let files: Vec<String> = files
                .iter()
                .map(|file| file.display().to_string())
                .collect();
            format!("\n  {} -> {} in {}", pair[0], pair[1], files.join(", "))
        };
        let arrows: String = way.windows(2).map(arrow).collect();
        format!("a circle of imports{arrows}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(arrows: &[(&str, &str)]) -> Graph {
        let mut graph = Graph::default();
        for (from, to) in arrows {
            graph.add(
                (*from).into(),
                (*to).into(),
                Path::new(&format!("{from}.rs")),
            );
        }
        graph
    }

    #[test]
    fn every_circle_is_told_with_its_files() {
        let none = graph(&[("a", "b"), ("b", "c"), ("d", "a")]);
        assert_eq!(none.circles(), [""; 0]);
        let two = graph(&[("a", "b"), ("b", "c"), ("c", "a"), ("x", "y"), ("y", "x")]);
        let first = "a circle of imports\n  a -> b in a.rs\n  b -> c in b.rs\n  c -> a in c.rs";
        let second = "a circle of imports\n  x -> y in x.rs\n  y -> x in y.rs";
        assert_eq!(two.circles(), [first, second]);
    }
}
