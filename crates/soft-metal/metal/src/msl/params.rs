//! Parameters of a kernel: what each one is, from its attributes.

use super::lex::Token::{self, Number, Word};
use super::tokens::{is_op, is_word, split_commas};

/// What a parameter is; the names are those of the launcher in `shim/launch.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Buffer,
    Threadgroup,
    /// A buffer that a function constant switches off.
    Absent,
    /// A position, a size or an index of the thread.
    Thread(&'static str),
}

impl Kind {
    /// Its name in C++.
    pub fn cpp(self) -> &'static str {
        match self {
            Kind::Buffer | Kind::Absent => "BUF",
            Kind::Threadgroup => "TG",
            Kind::Thread(name) => name,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    pub kind: Kind,
    /// In the table of buffers or of threadgroup memory.
    pub index: usize,
    /// The kernel may write through it.
    pub writes: bool,
    /// The type that it points to, where that is one word: `T` of `device T*`.
    pub element: Option<String>,
    /// The function constant that says whether it is there at all.
    pub switch: Option<String>,
}

const THREAD: &[(&str, &str)] = &[
    ("thread_position_in_grid", "TPIG"),
    ("threadgroup_position_in_grid", "TGPIG"),
    ("thread_position_in_threadgroup", "TPITG"),
    ("threads_per_threadgroup", "TPTG"),
    ("dispatch_threads_per_threadgroup", "DTPTG"),
    ("threadgroups_per_grid", "TGPG"),
    ("threads_per_grid", "TPG"),
    ("thread_index_in_threadgroup", "TIITG"),
    ("thread_index_in_simdgroup", "TIISG"),
    ("simdgroup_index_in_threadgroup", "SGIITG"),
    ("simdgroups_per_threadgroup", "SGPTG"),
    ("threads_per_simdgroup", "TPSG"),
];

/// Reads what stands between the parentheses of a kernel.
pub fn params(tokens: &[Token]) -> Vec<Param> {
    let (mut next_buffer, mut next_threadgroup) = (0, 0);
    split_commas(tokens).into_iter().map(|p| param(p, &mut next_buffer, &mut next_threadgroup)).collect()
}

fn param(p: &[Token], next_buffer: &mut usize, next_threadgroup: &mut usize) -> Param {
    let position = |word: &str| p.iter().position(|t| is_word(Some(t), word));
    let has = |word: &str| position(word).is_some();
    if let Some((_, name)) = THREAD.iter().find(|(attribute, _)| has(attribute)) {
        return Param { kind: Kind::Thread(name), index: 0, writes: false, element: None, switch: None };
    }
    let declared = p.iter().take_while(|t| !is_op(Some(t), "[["));
    if declared.clone().any(|t| is_word(Some(t), "threadgroup")) {
        let attribute = p.iter().position(|t| is_op(Some(t), "[[")).map(|i| i + 1);
        let index = attribute.and_then(|i| number(p, i)).unwrap_or(*next_threadgroup);
        *next_threadgroup = index + 1;
        return Param { kind: Kind::Threadgroup, index, writes: false, element: element(p), switch: None };
    }
    let index = position("buffer").and_then(|i| number(p, i)).unwrap_or(*next_buffer);
    *next_buffer = index + 1;
    let writes = has("device") && !has("const");
    let switch = position("function_constant").and_then(|i| match p.get(i + 2) {
        Some(Word(name)) => Some(name.clone()),
        _ => None,
    });
    Param { kind: Kind::Buffer, index, writes, element: element(p), switch }
}

/// The word before a pointer's star.
fn element(p: &[Token]) -> Option<String> {
    let star = p.iter().position(|t| is_op(Some(t), "*"))?;
    match p.get(star.checked_sub(1)?) {
        Some(Word(name)) => Some(name.clone()),
        _ => None,
    }
}

/// The number in `attribute(number)`.
fn number(p: &[Token], attribute: usize) -> Option<usize> {
    match p.get(attribute + 2) {
        Some(Number(n)) => n.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::lex::lex;
    use super::*;

    #[test]
    fn attributes_say_what_a_parameter_is() {
        let p = params(&lex(
            "device const float* a [[buffer(3)]], device float* b, constant int& n [[buffer(7), function_constant(f)]], \
             threadgroup half* s [[threadgroup(1)]], uint3 g [[thread_position_in_grid]]",
        ));
        let buffer = |index, writes| {
            let element = Some("float".into());
            Param { kind: Kind::Buffer, index, writes, element, switch: None }
        };
        assert_eq!(p[0], buffer(3, false));
        assert_eq!(p[1], buffer(4, true));
        assert_eq!(p[2], Param { switch: Some("f".into()), element: None, ..buffer(7, false) });
        assert_eq!(
            p[3],
            Param { kind: Kind::Threadgroup, index: 1, writes: false, element: Some("half".into()), switch: None }
        );
        assert_eq!(p[4].kind, Kind::Thread("TPIG"));
    }
}
