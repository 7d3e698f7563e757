//! The processor: what kernels use of it.

use crate::machine::{output, processor};
use metal_candle_kernels::simd::Level;
use serde::Serialize;
use std::fs::read_to_string;
use std::path::Path;

/// The processor as the system tells of it.
#[derive(Serialize)]
pub struct Processor {
    name: String,
    cores: usize,
    /// Threads of the kernels' pool.
    threads: usize,
    /// Vector instructions that the kernels use.
    simd: String,
    /// The widest that it has, where the kernels were told to use less.
    #[serde(skip_serializing_if = "Option::is_none")]
    widest_simd: Option<String>,
    /// Caches of the first core; empty where the system does not tell.
    caches: Vec<Cache>,
}

/// A cache of data.
#[derive(Debug, PartialEq, Serialize)]
struct Cache {
    level: u32,
    bytes: u64,
}

impl Processor {
    /// The one that this process runs on.
    pub fn here() -> Self {
        let widest = Level::available().next();
        // A level that the processor lacks is refused before.
        let chosen = Level::chosen().ok().or(widest);
        Self {
            name: processor().unwrap_or_else(|| std::env::consts::ARCH.into()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            threads: rayon::current_num_threads(),
            simd: chosen.map_or_else(String::new, |level| level.to_string()),
            widest_simd: widest
                .filter(|_| widest != chosen)
                .map(|level| level.to_string()),
            caches: caches(),
        }
    }

    /// Names and what there is to say.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let simd = match &self.widest_simd {
            None => self.simd.clone(),
            Some(widest) => format!("{}, by METAL_CANDLE_SIMD; it has {widest}", self.simd),
        };
        let caches = self.caches.iter();
        let caches = caches.map(|cache| format!("L{} {} KiB", cache.level, cache.bytes >> 10));
        let caches: Vec<String> = caches.collect();
        let caches = match caches.is_empty() {
            true => "the system does not tell".into(),
            false => caches.join(", "),
        };
        vec![
            ("processor", format!("{}, {} cores", self.name, self.cores)),
            ("threads", self.threads.to_string()),
            ("instructions", simd),
            ("caches", caches),
        ]
    }
}

fn caches() -> Vec<Cache> {
    match cfg!(target_vendor = "apple") {
        true => caches_of_apple(),
        false => caches_in(Path::new("/sys/devices/system/cpu/cpu0/cache")),
    }
}

/// Caches of the fast cores, where there are two kinds.
fn caches_of_apple() -> Vec<Cache> {
    let bytes = |name: &str| {
        let names = [format!("hw.perflevel0.{name}"), format!("hw.{name}")];
        names
            .iter()
            .find_map(|name| output("sysctl", &["-n", name])?.parse().ok())
    };
    let names = [(1, "l1dcachesize"), (2, "l2cachesize"), (3, "l3cachesize")];
    let caches = names.into_iter().filter_map(|(level, name)| {
        let bytes = bytes(name).filter(|&bytes: &u64| bytes > 0)?;
        Some(Cache { level, bytes })
    });
    caches.collect()
}

/// Caches as Linux tells of them: a folder for each, with its level, type and size.
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
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_of_data_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let caches = [
            ("1", "Data", "48K"),
            ("1", "Instruction", "32K"),
            ("3", "Unified", "260M"),
        ];
        for (i, (level, kind, size)) in caches.into_iter().enumerate() {
            let cache = folder.path().join(format!("index{i}"));
            std::fs::create_dir(&cache).unwrap();
            for (name, text) in [("level", level), ("type", kind), ("size", size)] {
                std::fs::write(cache.join(name), format!("{text}\n")).unwrap();
            }
        }
        let cache = |level, bytes| Cache { level, bytes };
        assert_eq!(
            caches_in(folder.path()),
            [cache(1, 48 << 10), cache(3, 260 << 20)]
        );
        assert_eq!(caches_in(Path::new("/no/such/folder")), []);
    }
}
