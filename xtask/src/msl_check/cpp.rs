//! MSL as C++ that clang can read: what it has no syntax for is put otherwise, line by line.
//!
//! | MSL | here |
//! |---|---|
//! | `template [[host_name("n")]] [[kernel]] decltype(f<..>) f<..>;` | `constexpr auto instance_7 = &f<..>;`, which instantiates it |
//! | `threadgroup T x[..];` in a kernel | `static threadgroup T x[..];` |
//! | `[[attribute]]` | as it is: clang leaves it out, so its name is looked up here |
//! | `(device T*)p` | as it is: clang takes any cast of a pointer, so that it names an address space is looked at here |

/// Attributes that our kernels have (Metal Shading Language Specification, Attributes for Kernel Function Input Parameters;
/// `host_name` and `kernel` of its Function Attributes).
const ATTRIBUTES: &[&str] = &[
    "buffer",
    "host_name",
    "kernel",
    "simdgroup_index_in_threadgroup",
    "simdgroups_per_threadgroup",
    "thread_index_in_simdgroup",
    "thread_index_in_threadgroup",
    "thread_position_in_grid",
    "thread_position_in_threadgroup",
    "threadgroup_position_in_grid",
    "threadgroups_per_grid",
    "threads_per_grid",
    "threads_per_threadgroup",
];

const SPACES: &[&str] = &["device ", "constant ", "threadgroup ", "thread "];

/// The text as C++, or what cannot be put so.
pub fn cpp(msl: &str) -> Result<String, String> {
    let lines = msl.lines().enumerate();
    lines
        .map(|(i, line)| Ok(as_cpp(i + 1, line)? + "\n"))
        .collect()
}

fn as_cpp(number: usize, line: &str) -> Result<String, String> {
    for attribute in attributes(line) {
        if !ATTRIBUTES.contains(&attribute) {
            return Err(format!(
                "no attribute of a kernel: [[{attribute}]] in line {number}: {line}\n"
            ));
        }
    }
    if let Some(cast) = casts(line).find(|cast| !SPACES.iter().any(|space| cast.contains(space))) {
        return Err(format!(
            "a cast to no address space: ({cast}*) in line {number}: {line}\n"
        ));
    }
    if line.starts_with("template [[") {
        let function = line
            .split_once("decltype(")
            .and_then(|(_, rest)| rest.split_once(')'));
        let (function, _) = function.ok_or(format!("no instantiation: line {number}: {line}\n"))?;
        return Ok(format!("constexpr auto instance_{number} = &{function};"));
    }
    Ok(match is_threadgroup_variable(line) {
        true => line.replacen("threadgroup", "static threadgroup", 1),
        false => line.into(),
    })
}

fn is_threadgroup_variable(line: &str) -> bool {
    let declared = line.trim_start();
    let name_and_type = declared.split('[').next().unwrap_or_default();
    let variable = declared.starts_with("threadgroup ") && declared.ends_with(';');
    variable && !name_and_type.contains(['(', '*'])
}

/// The names in `[[name(..)]]`.
fn attributes(line: &str) -> impl Iterator<Item = &str> {
    let rests = line.split("[[").skip(1);
    rests.map(|rest| {
        rest.split(|c: char| !(c.is_alphanumeric() || c == '_'))
            .next()
            .unwrap_or("")
    })
}

/// The types in `(type*)`.
fn casts(line: &str) -> impl Iterator<Item = &str> {
    let before = line.match_indices("*)").map(|(end, _)| &line[..end]);
    before.filter_map(|before| before.rsplit_once('(').map(|(_, cast)| cast))
}
