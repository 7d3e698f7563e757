//! Caches of the processor, as its system tells of them.

use crate::machine::output;
use serde::Serialize;
use std::fs::read_to_string;
use std::path::Path;

/// A cache of data.
#[derive(Debug, PartialEq, Serialize)]
pub struct Cache {
    /// Number of the level; 1 is the nearest to a core.
    pub level: u32,
    /// Its size.
    pub bytes: u64,
    /// Threads of the processor that share it.
    pub threads: usize,
}

/// Caches of data of the first core, the nearest first; empty where the system does not tell.
pub fn caches() -> Vec<Cache> {
    match cfg!(target_vendor = "apple") {
        true => caches_of_apple(),
        false => caches_in(Path::new("/sys/devices/system/cpu/cpu0/cache")),
    }
}

/// Caches of the fast cores, where there are two kinds.
fn caches_of_apple() -> Vec<Cache> {
    let number = |name: &str| {
        let names = [format!("hw.perflevel0.{name}"), format!("hw.{name}")];
        names
            .iter()
            .find_map(|name| output("sysctl", &["-n", name])?.parse().ok())
    };
    let names = [
        (1, "l1dcachesize", ""),
        (2, "l2cachesize", "cpusperl2"),
        (3, "l3cachesize", "cpusperl3"),
    ];
    let caches = names.into_iter().filter_map(|(level, name, sharing)| {
        let bytes = number(name).filter(|&bytes: &u64| bytes > 0)?;
        let threads = number(sharing).map_or(1, |threads| threads as usize);
        Some(Cache {
            level,
            bytes,
            threads,
        })
    });
    caches.collect()
}

/// Caches as Linux tells of them: a folder for each, with its level, type, size and sharers.
fn caches_in(folder: &Path) -> Vec<Cache> {
    let indices = (0..).map(|i| folder.join(format!("index{i}")));
    let there = indices.take_while(|cache| cache.is_dir());
    there.filter_map(|cache| cache_of(&cache)).collect()
}

fn cache_of(folder: &Path) -> Option<Cache> {
    let read = |name: &str| Some(read_to_string(folder.join(name)).ok()?.trim().to_owned());
    if read("type")? == "Instruction" {
        return None;
    }
    let size = read("size")?;
    let (number, unit) = size.split_at(size.len().checked_sub(1)?);
    let factor = match unit {
        "K" => 1 << 10,
        "M" => 1 << 20,
        _ => return None,
    };
    Some(Cache {
        level: read("level")?.parse().ok()?,
        bytes: number.parse::<u64>().ok()? * factor,
        threads: read("shared_cpu_list").map_or(1, |list| n_listed(&list)),
    })
}

/// Number of processors in a list such as `0-3,8`.
fn n_listed(list: &str) -> usize {
    let ranges = list.split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let ends = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
        Some(ends.1.checked_sub(ends.0)? + 1)
    });
    ranges.sum::<usize>().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_of_data_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let caches = [
            ("1", "Data", "48K", "0"),
            ("1", "Instruction", "32K", "0"),
            ("3", "Unified", "260M", "0-3,8"),
        ];
        for (i, (level, kind, size, sharers)) in caches.into_iter().enumerate() {
            let cache = folder.path().join(format!("index{i}"));
            std::fs::create_dir(&cache).unwrap();
            let texts = [
                ("level", level),
                ("type", kind),
                ("size", size),
                ("shared_cpu_list", sharers),
            ];
            for (name, text) in texts {
                std::fs::write(cache.join(name), format!("{text}\n")).unwrap();
            }
        }
        let cache = |level, bytes, threads| Cache {
            level,
            bytes,
            threads,
        };
        assert_eq!(
            caches_in(folder.path()),
            [cache(1, 48 << 10, 1), cache(3, 260 << 20, 5)]
        );
        assert_eq!(caches_in(Path::new("/no/such/folder")), []);
    }
}
