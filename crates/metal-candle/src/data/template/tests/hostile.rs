//! Templates that attack: each ends, in a child process whose stack is 1 MiB.

use crate::own_program;
use std::time::{Duration, Instant};

use super::*;

/// Bytes of stack that rendering may need; threads of Rust have twice as many.
const STACK_BYTES: usize = 1 << 20;

/// Time of one template on a slow and busy machine, without optimisation. They take 0.3 s.
const LIMIT: Duration = Duration::from_secs(20);

/// Parts of a source, `n` times over.
fn nested(open: &str, inner: &str, close: &str) -> String {
    let n = 100_000 / open.len().max(close.len()).max(1);
    [&*open.repeat(n), inner, &*close.repeat(n)].concat()
}

/// A namespace whose `x` is `step` of what it was before, many times.
fn grown(start: &str, step: &str, end: &str) -> String {
    format!(
        "{{% set ns = namespace(x={start}) %}}{{% for i in range(100000) %}}{{% set ns.x = {step} %}}{{% endfor %}}{end}"
    )
}

/// A text that is set to `step` of itself again and again.
fn doubled(step: &str) -> String {
    let step = format!("{{% set x = {step} %}}");
    format!("{{% set x = '&&aaaaaa' * 1000 %}}{}", step.repeat(60))
}

/// `call` of a long text, many times.
fn repeated(text: &str, call: &str) -> String {
    format!(
        "{{% set s = '{text}' * 4000000 %}}{{% for i in range(100000) %}}{{{{ {call} }}}}{{% endfor %}}"
    )
}

fn nests() -> Vec<String> {
    [
        ("{{ (", "1", ") }}"),
        ("[", "", "]"),
        ("{1:", "1", "}"),
        ("-(", "1", ")"),
        ("not ", "1", ""),
        ("-", "1", ""),
        ("1 + ", "1", ""),
        ("s ~ ", "s", ""),
        ("1 < ", "1", ""),
        ("1 ** ", "1", ""),
        ("n or ", "1", ""),
        ("1 if t else ", "1", ""),
        ("", "1", " if t"),
        ("", "s", "[0]"),
        ("", "s", "()"),
        ("", "s", ".upper()"),
        ("", "s", "|upper"),
        ("", "1", " is odd"),
        ("(1 is eq ", "1", ")"),
    ]
    .map(|(open, inner, close)| format!("{{{{ {} }}}}", nested(open, inner, close)))
    .into_iter()
    .chain([
        nested("{% if s %}", "", "{% endif %}"),
        nested("{% for x in l %}", "", "{% endfor %}"),
        nested("{% set x %}", "", "{% endset %}"),
        nested("{% macro m() %}", "", "{% endmacro %}"),
        nested("{% filter upper %}", "", "{% endfilter %}"),
        nested("{% call m() %}", "", "{% endcall %}"),
        nested("{% generation %}", "", "{% endgeneration %}"),
        format!("{{% if n %}}{}{{% endif %}}", "{% elif n %}".repeat(50_000)),
        format!("{{% set {} = 1 %}}", nested("(", "a", ")")),
        "{% set v = 1 %}".repeat(50_000),
        "{{ {".repeat(200_000),
        "{#".repeat(400_000),
        "{".repeat(1_000_000),
        "x".repeat(2_000_000),
    ])
    .collect()
}

fn recursions() -> Vec<String> {
    [
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m(x) %}{{ m([x]) }}{% endmacro %}{{ m(1) }}",
        "{% macro m(x=m()) %}{% endmacro %}{{ m() }}",
        "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
        "{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{{ m() }}",
        "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}{% call m() %}{{ caller() }}{% endcall %}{% endcall %}",
        "{% for x in l recursive %}{{ loop(l) }}{% endfor %}",
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(15) }}{{ m(15) }}{{ m(29) }}",
        "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}",
        "{% set ns = namespace() %}{% set ns.a = [ns, ns] %}{{ ns }}",
        "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns | tojson }}",
        "{% set ns = namespace() %}{% set ns.a = ns %}{{ [ns] == [ns] }}{{ {ns: 1} }}",
        "{% set ns = namespace() %}{% set ns.a = ns %}{{ [ns, ns] | unique | list }}",
        "{% set ns = namespace() %}{% set ns.a = ns %}{{ [ns, ns] | sort }}",
        "{% set ns = namespace() %}{% for x in l %}{% set ns.l = loop %}{% endfor %}{{ ns.l.index }}",
    ]
    .map(str::to_owned)
    .into()
}

fn growth() -> Vec<String> {
    let mut all = vec![
        grown("1", "[ns.x]", "{{ ns.x }}"),
        grown("1", "namespace(x=ns.x)", "{{ ns.x }}"),
        grown("1", "dict(a=ns.x)", "{{ ns.x }}"),
        grown("1", "{'a': ns.x}.items()", "{{ ns.x }}"),
        grown("1", "[ns.x].copy", "{{ ns.x is defined }}"),
        grown("1", "[ns.x] | map('default', 1)", ""),
        grown("1", "cycler(ns.x)", ""),
        grown("', '", "joiner(ns.x)", ""),
        grown("[1]", "ns.x + ns.x", ""),
        grown("[1]", "ns.x + [1]", ""),
        grown("[]", "ns.x + ['a' * 10000000]", ""),
        grown("[]", "ns.x + [range(100000) | list]", ""),
    ];
    for end in [
        "{{ ns.x }}",
        "{{ ns.x | tojson(indent=4) }}",
        "{{ ns.x == ns.y }}",
        "{{ ns.x < ns.y }}",
        "{{ {ns.x: 1}[ns.x] }}",
        "{{ ns.y in [ns.x] }}",
    ] {
        let step = "{% set ns.x = (ns.x, ns.x) %}{% set ns.y = (ns.y, ns.y) %}";
        let start = "{% set ns = namespace(x=(1,), y=(1,)) %}";
        all.push(format!("{start}{}{end}", step.repeat(100)));
    }
    all.extend(
        [
            "x ~ x",
            "x + x",
            "x * 2",
            "[x, x] | join",
            "x | replace('a', x)",
            "'%s%s' % (x, x)",
            "'{0}{0}'.format(x)",
            "x | forceescape",
            "{'a': x} | xmlattr",
            "x | urlencode",
            "x | tojson",
            "[x] | string",
        ]
        .map(doubled),
    );
    all
}

fn sizes() -> Vec<String> {
    [
        "'a' * 10**13",
        "'abc' * 10**22",
        "[1] * 10**13",
        "(1,) * 10**13",
        "range(10**13)",
        "'a'.ljust(10**13)",
        "'a'.rjust(10**13)",
        "'a'.center(10**13)",
        "'a'.zfill(10**13)",
        "'a' | center(10**13)",
        "'a' | indent(10**13)",
        "('a\\n' * 1000000) | indent('x' * 1000000)",
        "'\\t'.expandtabs(10**13)",
        "'%1000000000d' % 1",
        "'%99999999999999999999999999d' % 1",
        "'%.1000000000f' % 1.5",
        "'%.1000000000d' % 1",
        "'%.70000f' % 1.5",
        "'%*d' % (10**13, 1)",
        "'{:1000000000000}'.format(1)",
        "'{:.100000000f}'.format(1.5)",
        "[[[[1]]]] | tojson(indent=10**13)",
        "range(100000) | list | tojson(indent=1000)",
        "range(100000) | list | tojson(separators=('x' * 100000, ':'))",
        "range(100000) | join('x' * 100000)",
        "[1] | batch(10**13, 0) | list",
        "[1] | slice(10**13) | list",
        "range(100000) | unique | list",
        "range(100000) | map('replace', *(range(100000) | list)) | list",
        "range(1000) | sort(attribute=',' * 1000000)",
        "10 ** 10 ** 10 ** 10",
        "raise_exception('a' * 100000000)",
    ]
    .map(|expression| format!("{{{{ {expression} }}}}"))
    .into_iter()
    .chain([
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}"
            .to_owned(),
        "{% for i in range(100000) %}{{ 1.5 in range(100000) }}{% endfor %}".to_owned(),
        repeated("a ", "s.split() | length"),
        repeated("a", "s.find('b')"),
        repeated("a", "s.count('a')"),
        repeated(" ", "s.strip()"),
        repeated("é", "s.isalpha()"),
        repeated("é", "s[3999999]"),
        repeated("é", "s | wordcount"),
        repeated("é", "s | title | length"),
        repeated("a", "s == s ~ ''"),
    ])
    .collect()
}

/// Edges that must end without a panic; what they give does not matter.
fn edges() -> Vec<String> {
    [
        "l[-(10**30):10**30:10**30]",
        "l[::-(10**30)]",
        "range(5)[::10**30]",
        "range(0, 5, 2**90)[::2**90]",
        "(-(2**126) * 2) // -1",
        "(-(2**126) * 2) % -1",
        "-(-(2**126) * 2)",
        "(-(2**126) * 2) | abs",
        "'a' | truncate(10**30)",
        "[][::-1]",
    ]
    .map(|expression| format!("{{{{ {expression} }}}}"))
    .into()
}

/// Renders all of them on a small stack and tells how long each took.
fn attack() {
    let templates = [nests(), recursions(), growth(), sizes(), edges()].concat();
    for template in templates {
        let begun = Instant::now();
        let shown: String = template.chars().take(100).collect();
        let rendered = render(&template);
        if let Err(Error::TemplateRender { message }) = &rendered {
            assert!(
                !message.contains("panicked") && message.contains("chat_template:"),
                "{shown}: {message}"
            );
        }
        let limit = LIMIT * own_program::slowness();
        assert!(begun.elapsed() < limit, "{shown}: {:?}", begun.elapsed());
    }
}

#[test]
fn every_template_ends() {
    if std::env::var_os("MC_TEST_HOSTILE").is_some() {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        thread.spawn(attack).unwrap().join().unwrap();
        return;
    }
    let child = own_program::running("every_template_ends")
        .env("MC_TEST_HOSTILE", "1")
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&child.stdout),
        String::from_utf8_lossy(&child.stderr),
    );
    assert!(child.status.success(), "{}\n{out}\n{err}", child.status);
}

#[test]
fn what_attacks_is_told_by_its_bound() {
    for (template, expected) in [
        (grown("1", "[ns.x]", ""), "nested more than 160 levels deep"),
        (
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}".to_owned(),
            "nests its calls too deep",
        ),
        (
            "{{ 'a'.ljust(10**13) }}".to_owned(),
            "a text of 10000000000000 bytes",
        ),
        (
            "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}".to_owned(),
            "too much memory",
        ),
        (
            "{% set r = range(3000) | list %}{% for a in r %}{% for b in r %}{{ b }}{% endfor %}{% endfor %}".to_owned(),
            "too many steps",
        ),
        (
            nested("{% if s %}", "", "{% endif %}"),
            "nested more than 100 levels deep",
        ),
        (
            "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}".to_owned(),
            "contains itself",
        ),
    ] {
        let error = render(&template).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// A thousand messages with texts of 4 KiB and a hundred tools.
#[test]
fn a_long_conversation_is_within_the_bounds() {
    let text = "word ".repeat(800);
    let messages: Value = (0..1000)
        .map(|i| {
            let role = ["user", "assistant"][i % 2];
            json!({"role": role, "content": format!("<think>\n{text}</think>\n{text}")})
        })
        .collect();
    let messages = crate::data::testing::objects(messages);
    let tool = json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "string", "enum": ["x", "y"]}}}}});
    let tools = vec![Json::from(tool); 100];
    let template = ChatTemplate::compile(
        "{% set ns = namespace(out='', last=0) %}{% for tool in tools %}{{ tool | tojson(indent=4) }}{% endfor %}\
         {% for m in messages[::-1] %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}\
         {% for m in messages %}{% set c = m.content.split('</think>')[-1].lstrip('\\n') | trim %}\
         {% set r = m.content.split('</think>')[0].rstrip('\\n').split('<think>')[-1] %}\
         {% if messages[loop.index0:] | selectattr('role', 'equalto', 'tool') | list | length == 0 %}\
         {% set ns.out = ns.out ~ '<|' ~ m.role ~ '|>' ~ r ~ c %}{% endif %}{% endfor %}{{ ns.out }}",
    )
    .unwrap();
    let conversation = Conversation {
        messages: &messages,
        tools: Some(&tools),
        add_generation_prompt: false,
    };
    let rendered = template.render(conversation, &Map::new()).unwrap();
    assert!(rendered.len() > 8_000_000, "{}", rendered.len());
}
