//! Rivals that are measured beside the kernels.

use super::operation::Operation;
use crate::answer::Answer;
use crate::options::{Options, Rival};
use crate::peer::Server;
use candle_core::Device;
use metal_candle_cli::error::Result;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Rivals that `--vs` names, with the processes that it takes.
#[derive(Default)]
pub struct Rivals {
    /// candle's own operations.
    pub candle: bool,
    /// Each engine of an Apple GPU.
    pub engines: bool,
    /// Processes by name.
    pub servers: Vec<(&'static str, Server)>,
}

impl Rivals {
    /// Starts the processes.
    ///
    /// # Errors
    /// When one of them cannot be run.
    pub fn start(options: &Options, device: &Device) -> Result<Self> {
        let mut servers = vec![];
        for (rival, script) in [(Rival::Pytorch, "ops_torch.py"), (Rival::Mlx, "ops_mlx.py")] {
            if options.has(rival) {
                let server = Server::start(&mut options.python(rival, script, device)?)?;
                servers.push((rival.name(), server));
            }
        }
        Ok(Self {
            candle: options.has(Rival::Candle),
            engines: options.has(Rival::Engines),
            servers,
        })
    }

    /// Lets each process measure, one after the other.
    ///
    /// # Errors
    /// When a process has ended, or babbles.
    pub fn ask(
        &mut self,
        operation: &Operation,
        budget: Duration,
        runs_per_wait: usize,
    ) -> Result<BTreeMap<&'static str, Answer>> {
        let request = request(operation, budget, runs_per_wait);
        let servers = self.servers.iter_mut();
        servers
            .map(|(name, server)| Ok((*name, server.ask(&request)?)))
            .collect()
    }
}

fn request(operation: &Operation, budget: Duration, runs_per_wait: usize) -> Value {
    json!({
        "op": operation.op,
        "sizes": operation.sizes,
        "dtype": operation.dtype_name(),
        "passes": operation.passes(),
        "secs": budget.as_secs_f64(),
        "runs_per_wait": runs_per_wait,
    })
}
