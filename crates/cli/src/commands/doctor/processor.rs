//! The processor: what kernels use of it.

use crate::caches::{Cache, caches};
use crate::machine::processor;
use metal_candle_kernels::simd::Level;
use serde::Serialize;

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
