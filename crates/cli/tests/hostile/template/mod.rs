//! Chat templates: programs from outside. What Jinja's sandbox refuses, or Python cannot hold, is refused; what Jinja
//! renders, is rendered.

mod accepted;
mod bombs;
mod deep;
mod refused;
mod uncertain;

use crate::input::{GENERATE, Input};
use crate::mutate::nested;
use crate::{mutate, odd_file};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const FILE: &str = "model/chat_template.jinja";
/// What every valid template ends with: the prompt.
const PROMPT: &str = "{{ messages[-1].content }}";

pub fn inputs() -> Vec<Input> {
    let mut inputs = odd_file::all_of_optional(FILE, GENERATE);
    // As a template these are text, which is a prompt like any other; the same goes for no prompt at all.
    inputs.retain(|input| {
        ![
            "a page of a web server",
            "a pointer of git-lfs",
            "empty",
            "an empty device",
        ]
        .iter()
        .any(|name| input.name.ends_with(name))
    });
    inputs.extend(bombs::inputs());
    inputs.extend(deep::inputs());
    inputs.extend(refused::inputs());
    inputs.extend(accepted::inputs());
    inputs.extend(uncertain::inputs());
    inputs.extend(variables());
    inputs.extend((0..60).map(random));
    inputs
}

fn template(source: impl Into<String>) -> Input {
    let source = source.into();
    let name: String = source.chars().take(140).collect();
    Input::new(name, GENERATE).file(FILE, source + PROMPT)
}

/// What the command line gives a template.
fn variables() -> Vec<Input> {
    let with = |name: &str, json: String| {
        Input::new(format!("variables {name}"), GENERATE)
            .arg("--chat-template-config")
            .arg(json)
    };
    vec![
        with("that are a list", "[1]".into()).refused(&["--chat-template-config"]),
        with("that are no JSON", "{".into()).refused(&["--chat-template-config"]),
        with("of nothing", String::new()).refused(&["--chat-template-config"]),
        with(
            "50,000 lists deep",
            format!("{{\"a\":{}}}", nested("[", "", "]", 50_000)),
        )
        .refused(&["--chat-template-config"]),
        with("in the place of the messages", "{\"messages\": 5}".into()),
        with(
            "named as functions",
            "{\"range\": 5, \"namespace\": [], \"raise_exception\": null}".into(),
        ),
        with(
            "of 100 KB",
            format!("{{\"a\":\"{}\"}}", "x".repeat(100_000)),
        )
        .accepted(),
        with("for switches", "{\"enable_thinking\": false}".into()).accepted(),
    ]
}

/// Pieces of templates in a random order.
fn random(seed: u64) -> Input {
    const PIECES: &[&str] = &[
        "{{",
        "}}",
        "{%",
        "%}",
        "{%-",
        "-%}",
        "{#",
        "#}",
        "for",
        "in",
        "if",
        "else",
        "elif",
        "endif",
        "endfor",
        "set",
        "macro",
        "endmacro",
        "call",
        "endcall",
        "recursive",
        "loop",
        "loop.cycle",
        "namespace",
        "messages",
        "[0]",
        ".role",
        ".content",
        "|",
        "tojson",
        "length",
        "trim",
        "join",
        "sort",
        "map",
        "select",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ":",
        ",",
        "=",
        "==",
        "+",
        "-",
        "*",
        "**",
        "/",
        "//",
        "%",
        "~",
        "'a'",
        "\"",
        "'",
        "1",
        "10**18",
        "-1",
        "1.5",
        "none",
        "true",
        "not",
        "and",
        "is",
        "defined",
        "raw",
        "endraw",
        "filter",
        "endfilter",
        "with",
        "endwith",
        "block",
        "generation",
        "endgeneration",
        "\n",
        " ",
        "\u{e9}",
        "\u{0}",
        "ljust",
        "split",
        ".",
        "range",
        "'x' * 9",
        "do",
        "autoescape",
    ];
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let n = generator.random_range(3..40);
    let mut source: String = (0..n)
        .flat_map(|_| [PIECES[generator.random_range(0..PIECES.len())], " "])
        .collect();
    // Half of them inside of an expression, which gets further than the parser.
    if seed.is_multiple_of(2) {
        let inner = source.replace(['{', '}', '%', '#'], "");
        source = format!("{{{{ {inner} }}}}");
    }
    if seed.is_multiple_of(3) {
        let valid = "{% for m in messages %}{{ m.role ~ ': ' ~ m['content'] | trim | replace('a', 'b') }}{% if loop.last and add_generation_prompt %}{{ '<|im_end|>' }}{% endif %}{% endfor %}";
        let damaged = mutate::damaged(&mut generator, valid.as_bytes().to_vec());
        source = String::from_utf8_lossy(&damaged).into_owned();
    }
    template(source).named(&format!("random {seed}"))
}
