//! Whether every source was compiled.

use std::path::PathBuf;

const TYPES: [&str; 3] = ["float", "half", "bfloat"];

/// What no text has: each source, in each type that its texts leave open.
pub fn missing(texts: &[String], sources: &[(PathBuf, String)]) -> Vec<String> {
    let mut missing = vec![];
    for (path, source) in sources {
        let with: Vec<&String> = texts.iter().filter(|text| text.contains(source)).collect();
        if with.is_empty() {
            missing.push(format!(
                "no text has {}: does a test run it?",
                path.display()
            ));
        }
        let has = |name: &str| {
            with.iter()
                .any(|text| text.contains(&format!("typedef {name} ")))
        };
        if TYPES.into_iter().any(has) {
            let types = TYPES.into_iter().filter(|name| !has(name));
            missing.extend(types.map(|name| format!("no text has {} with {name}", path.display())));
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::missing;

    #[test]
    fn a_source_is_compiled_in_every_type_or_named() {
        let of = |name: &str| format!("typedef {name} T;\nkernel void k();");
        let sources = [("k.metal".into(), "kernel void k();".into())];
        let all = ["float", "half", "bfloat"].map(of);
        assert_eq!(missing(&all, &sources), [""; 0]);
        assert_eq!(
            missing(&all[..2], &sources),
            ["no text has k.metal with bfloat"]
        );
        assert_eq!(missing(&["kernel void k();".into()], &sources), [""; 0]);
        assert_eq!(
            missing(&["other".into()], &sources),
            ["no text has k.metal: does a test run it?"]
        );
    }
}
