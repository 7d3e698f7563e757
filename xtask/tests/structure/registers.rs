//! Loops of our MSL over arrays in registers, of which each is unrolled: a place that is found when the kernel runs would
//! have the array in memory.

use std::collections::BTreeSet;
use std::path::Path;

/// Arrays of a text that are a thread's own.
#[derive(Default)]
struct Arrays {
    /// Variables, parameters, and members where a method names them.
    names: BTreeSet<String>,
    /// References to memory that all threads share: what is found through them is not in registers.
    shared: BTreeSet<String>,
}

/// Names of arrays in structs, which variables of all files may be made of.
pub fn members(text: &str) -> BTreeSet<String> {
    let text = without_comments(text);
    let structs = items(&text).filter(|(_, item)| item.contains("struct "));
    structs.flat_map(|(_, item)| arrays(item).names).collect()
}

/// Loops of a file that are not unrolled and find a place of such an array by what they count, each as `path:line: name`.
pub fn faults(path: &Path, text: &str, members: &BTreeSet<String>) -> Vec<String> {
    let text = without_comments(text);
    let mut faults = vec![];
    for (start, item) in items(&text) {
        let arrays = arrays(item);
        for (at, _) in item.match_indices("for (") {
            let is_unrolled = item[..at].trim_end().ends_with("UNROLL");
            let found = found_by_count(&item[at..], &arrays, members);
            let line = text[..start + at].matches('\n').count() + 1;
            let found = found.filter(|_| !is_unrolled);
            faults.extend(found.map(|name| format!("{}:{line}: {name}", path.display())));
        }
    }
    faults
}

/// The first array of a loop's body of which the loop's variable finds an element.
fn found_by_count(text: &str, arrays: &Arrays, members: &BTreeSet<String>) -> Option<String> {
    let (header, after) = bracketed(&text[text.find('(')?..], ['(', ')'])?;
    let variable = last_name(header.split('=').next()?.trim_end());
    let body = match after.trim_start().starts_with('{') {
        true => bracketed(after.trim_start(), ['{', '}'])?.0,
        false => after.split(';').next()?,
    };
    let subscripts = body.match_indices('[').filter(|(at, _)| {
        let subscript = bracketed(&body[*at..], ['[', ']']);
        subscript.is_some_and(|(subscript, _)| names(subscript).any(|name| name == variable))
    });
    let mut indexed = subscripts.map(|(at, _)| owner(&body[..at]));
    indexed
        .find(|(base, name)| match base {
            Some(base) => members.contains(*name) && !arrays.shared.contains(*base),
            None => arrays.names.contains(*name),
        })
        .map(|(_, name)| name.to_owned())
}

/// The array whose subscript follows, and the variable that it is a member of. Behind a pointer (`->`) the variable is empty,
/// which no member's is.
fn owner(text: &str) -> (Option<&str>, &str) {
    let mut text = text;
    while text.ends_with(']') {
        let start = text.rfind('[').unwrap_or(0);
        text = &text[..start];
    }
    let name = last_name(text);
    let before = &text[..text.len() - name.len()];
    match before.strip_suffix('.') {
        Some(base) => (Some(last_name(base)), name),
        None if before.ends_with("->") => (None, ""),
        None => (None, name),
    }
}

/// Declarations of an item: `type name[size], name[size];`, and parameters `thread type* name` and `constant type& name`.
fn arrays(item: &str) -> Arrays {
    let mut arrays = Arrays::default();
    for statement in item.split([';', '{', '}']) {
        arrays.names.extend(declared(statement.trim()));
    }
    for parameter in item.split([',', '(', ')', ';', '{']) {
        let words: Vec<&str> = names(parameter).collect();
        let (Some(space), Some(name)) = (words.first(), words.last()) else {
            continue;
        };
        match *space {
            "thread" if parameter.contains('*') => arrays.names.insert(name.to_string()),
            "constant" | "device" | "threadgroup" => arrays.shared.insert(name.to_string()),
            _ => false,
        };
    }
    arrays
}

/// Names of a declaration of arrays in no named memory.
fn declared(statement: &str) -> Vec<String> {
    let spaces = ["threadgroup", "constant", "device", "return", "else"];
    let kind = names(statement).next().unwrap_or_default();
    let is_type = statement.starts_with(kind) && !kind.is_empty() && !spaces.contains(&kind);
    let after = &statement[kind.len()..];
    let after = bracketed(after, ['<', '>']).map_or(after, |(_, after)| after);
    if !is_type || !after.starts_with(' ') || after.contains('(') {
        return vec![];
    }
    let declarators = after.split(',').map(str::trim).filter_map(|part| {
        let (name, _) = part.split_once('[')?;
        (!name.is_empty() && names(name).eq([name])).then(|| name.to_owned())
    });
    declarators.collect()
}

/// Structs, functions and kernels of a file, each with the place where it starts.
fn items(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut depth = 0;
    let mut start = 0;
    text.char_indices()
        .filter_map(move |(at, c)| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            let is_end = c == '}' && depth == 0;
            is_end.then(|| (std::mem::replace(&mut start, at + 1), at + 1))
        })
        .map(|(start, end)| (start, &text[start..end]))
}

/// What the brackets hold with which a text begins, and what comes behind them.
fn bracketed(text: &str, [open, close]: [char; 2]) -> Option<(&str, &str)> {
    let mut depth = 0;
    let end = text.char_indices().find_map(|(at, c)| {
        depth += i32::from(c == open) - i32::from(c == close);
        (depth == 0).then_some(at)
    })?;
    (end > 0).then(|| (&text[1..end], &text[end + 1..]))
}

fn without_comments(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|name| !name.is_empty())
}

/// The name with which a text ends.
fn last_name(text: &str) -> &str {
    let start = text.rfind(|c: char| !c.is_alphanumeric() && c != '_');
    &text[start.map_or(0, |at| at + 1)..]
}

#[test]
fn loops_over_registers_are_seen_where_they_are_rolled_up() {
    let file = |body: &str| {
        format!(
            "struct Sums {{\n    float of[4][2];\n}};\nkernel void a(constant Rows& rows, thread float* p) {{\n{body}\n}}"
        )
    };
    let faults = |body: &str| {
        let text = file(body);
        faults(Path::new("a.metal"), &text, &members(&text))
    };
    let rolled = |body: &str| format!("for (uint i = 0; i < 4; i++) {{ {body} }}");
    let declared =
        |body: &str| format!("vec<T, 4> x[4], y[4]; Sums sums; threadgroup float t[4]; {body}");
    assert_eq!(faults(&declared(&rolled("x[i] = 0;"))), ["a.metal:5: x"]);
    assert_eq!(
        faults(&declared(&rolled("z += y[2 * i];"))),
        ["a.metal:5: y"]
    );
    assert_eq!(faults(&rolled("p[i] = 0;")), ["a.metal:5: p"]);
    assert_eq!(
        faults(&declared(&rolled("sums.of[0][i] = 0;"))),
        ["a.metal:5: of"]
    );
    let inner = format!(
        "UNROLL\nfor (uint j = 0; j < 2; j++) {{ {} }}",
        rolled("sums.of[i][j] = 0;")
    );
    assert_eq!(faults(&inner), ["a.metal:6: of"]);
    for unseen in [
        declared("UNROLL\nfor (uint i = 0; i < 4; i++) { x[i] = 0; }"),
        declared(&rolled("t[i] = x[0];")),
        declared(&rolled("z = max(z, t[i]);")),
        rolled("sum += rows.of[0][i];"),
        declared(
            "for (uint at = 0; at < n; at++) {\nUNROLL\nfor (uint i = 0; i < 4; i++) { x[i] += t[at]; } }",
        ),
    ] {
        assert!(faults(&unseen).is_empty(), "{unseen}");
    }
}
