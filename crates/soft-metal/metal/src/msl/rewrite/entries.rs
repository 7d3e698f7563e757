//! Entry points: one C function per kernel, which the launcher calls.

use super::Kernel;
use crate::msl::params::Param;
use std::collections::HashMap;
use std::fmt::Write;

/// What a kernel is called by the host, and what it is in C++.
pub struct Host {
    pub name: String,
    pub expression: String,
    /// The function that is instantiated.
    pub base: String,
    /// Parameters, where the instantiation states them.
    pub own: Option<Vec<Param>>,
}

/// A `__global__` function `gpu_<name>` for each kernel, which takes all arguments in one struct.
pub fn cuda_entry_points(cpp: &mut String, hosts: Vec<Host>, definitions: &HashMap<String, Vec<Param>>) {
    for host in hosts {
        let Some(params) = host.own.or_else(|| definitions.get(&host.base).cloned()) else { continue };
        let list: Vec<String> = params.iter().map(|p| format!("{{soft::{}, {}}}", p.kind.cpp(), p.index)).collect();
        let _ = write!(
            cpp,
            "\nextern \"C\" __global__ void gpu_{}(const __grid_constant__ soft::Arguments a) {{\n  const soft::Par p[] = {{ {} }};\n  soft::call(&{}, a, p);\n}}\n",
            host.name,
            list.join(", "),
            host.expression
        );
    }
}

/// Writes the entry points of `hosts`; `definitions` are the parameters of functions by name.
pub fn entry_points(
    cpp: &mut String,
    hosts: Vec<Host>,
    definitions: &HashMap<String, Vec<Param>>,
    waits: bool,
) -> HashMap<String, Kernel> {
    let mut kernels = HashMap::new();
    for (k, host) in hosts.into_iter().enumerate() {
        let Some(params) = host.own.or_else(|| definitions.get(&host.base).cloned()) else { continue };
        let symbol = format!("soft_k{k}");
        let list: String = params.iter().map(|p| format!("{{soft::{}, {}}}, ", p.kind.cpp(), p.index)).collect();
        let _ = write!(
            cpp,
            "\nstatic const soft::Par {symbol}_p[] = {{ {list}{{soft::BUF, 0}} }};\n\
             static void {symbol}_e(soft::Ctx&) {{ soft::call(&{}, {symbol}_p); }}\n\
             extern \"C\" const char* {symbol}(soft::Ctx* c) {{ return soft::launch({symbol}_e, c, {waits}); }}\n",
            host.expression
        );
        kernels.insert(host.name, Kernel { params, symbol });
    }
    kernels
}
