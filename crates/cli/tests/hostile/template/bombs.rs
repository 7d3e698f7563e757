//! Templates that take time or memory without end, or hold themselves.

use super::{FILE, template};
use crate::input::{GENERATE, Input};

pub fn inputs() -> Vec<Input> {
    let mut inputs = refused();
    inputs.extend(uncertain());
    inputs.extend(slow());
    inputs.extend(long());
    inputs.push(second_template());
    inputs
}

fn refused() -> Vec<Input> {
    let sources = [
        // Sizes that a program may ask for in one word.
        "{{ 'x' * 10**12 }}",
        "{{ 10**12 * 'x' }}",
        "{{ [1] * 10**12 }}",
        "{{ 'x'.ljust(10**13) }}",
        "{{ 'x'.rjust(10**13) }}",
        "{{ 'x'.center(10**13) }}",
        "{{ 'x'.zfill(10**13) }}",
        "{{ '\t'.expandtabs(10**13) }}",
        "{{ 'x' | center(10**13) }}",
        "{{ 'a\nb' | indent(10**13) }}",
        "{{ messages | tojson(indent=10**13) }}",
        "{{ '%10000000000000d' % 1 }}",
        "{{ '%.10000000000000f' % 1.5 }}",
        "{{ '%10000000000000s' | format('x') }}",
        "{{ '{:10000000000000}'.format('x') }}",
        "{{ 'x'.ljust(9223372036854775807) }}",
        "{{ 'x' | indent(9223372036854775807) }}",
        "{{ 'x'.center(2**62) }}",
        // Doubling.
        "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}",
        "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s | length }}",
        "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s * 2 %}{% endfor %}{{ ns.s }}",
        "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s | replace('x', 'xx') %}{% endfor %}{{ ns.s }}",
        "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s.replace('x', 'xx') %}{% endfor %}{{ ns.s }}",
        "{% set ns = namespace(s='xx') %}{% for i in range(60) %}{% set ns.s = ns.s.join(['a', ns.s, 'b']) %}{% endfor %}{{ ns.s }}",
        "{% set ns = namespace(s='xx') %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] | join %}{% endfor %}{{ ns.s }}",
        "{% set ns = namespace(s='xx') %}{% for i in range(60) %}{% set ns.s = '%s%s' | format(ns.s, ns.s) %}{% endfor %}{{ ns.s }}",
        "{% set ns = namespace(s='xx') %}{% for i in range(60) %}{% set ns.s = '%s%s' % (ns.s, ns.s) %}{% endfor %}{{ ns.s }}",
        "{% set ns = namespace(s='\\\\') %}{% for i in range(60) %}{% set ns.s = ns.s | tojson %}{% endfor %}{{ ns.s }}",
        "{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}",
        "{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s | tojson }}",
        "{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}",
        "{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = {'a': ns.s, 'b': ns.s} %}{% endfor %}{{ ns.s | string | length }}",
        "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s %}{{ ns.s }}{{ ns.s }}{% endset %}{% endfor %}{{ ns.s }}",
        "{% set ns = namespace(s='x') %}{% for i in range(99999) %}{% for j in range(99999) %}{% set ns.s = ns.s ~ 'xxxxxxxxxxxxxxxx' %}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        // Time.
        "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{{ 'x' }}{% endfor %}{% endfor %}",
        // Without end.
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% macro f() %}{{ caller() }}{{ f() }}{% endmacro %}{% call f() %}x{% endcall %}",
        "{% macro f() %}{% call f() %}{% endcall %}{% endmacro %}{{ f() }}",
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{% for x in [1] recursive %}{{ loop([1]) ~ loop([1]) }}{% endfor %}",
        "{% block a %}{{ self.a() }}{% endblock %}",
        "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns | tojson }}",
        "{% set ns = namespace() %}{% set ns.a = [ns] %}{{ ns.a | tojson }}",
        "{% set a = namespace() %}{% set b = namespace(a=a) %}{% set a.b = b %}{{ a | tojson }}",
    ];
    sources.map(|source| template(source).refused(&[])).into()
}

/// Values that hold themselves or are held deeply, where Python has an answer of its own.
fn uncertain() -> Vec<Input> {
    const CYCLE: &str = "{% set ns = namespace() %}{% set ns.a = ns %}";
    const DEEP: &str = "{% set ns = namespace(l=[]) %}{% for i in range(99999) %}{% set ns.l = [ns.l] %}{% endfor %}";
    const DEEP_MAP: &str = "{% set ns = namespace(l={}) %}{% for i in range(99999) %}{% set ns.l = {'a': ns.l} %}{% endfor %}";
    const DEEP_NAMESPACE: &str = "{% set ns = namespace(l=1) %}{% for i in range(99999) %}{% set ns.l = namespace(l=ns.l) %}{% endfor %}";
    const USES: [&str; 10] = [
        "",
        "{{ X }}",
        "{{ X | string | length }}",
        "{{ X == X }}",
        "{{ [X, X] | sort }}",
        "{{ [X, X] | unique | list }}",
        "{{ X | pprint }}",
        "{{ {'k': X} | tojson | length }}",
        "{{ 'x' ~ X }}",
        "{{ X in [X] }}",
    ];
    let mut inputs = vec![];
    for (name, make, value) in [
        ("a cycle", CYCLE, "ns"),
        (
            "a cycle through a list",
            "{% set ns = namespace() %}{% set ns.a = [ns, {'k': ns}] %}",
            "ns.a",
        ),
        ("lists 99,999 deep", DEEP, "ns.l"),
        ("maps 99,999 deep", DEEP_MAP, "ns.l"),
        ("namespaces 99,999 deep", DEEP_NAMESPACE, "ns.l"),
    ] {
        inputs.extend(USES.map(|code| {
            template(format!("{make}{}", code.replace('X', value))).named(&format!("{name} {code}"))
        }));
    }
    let deep_macros = "{% set ns = namespace(f=none) %}{% for i in range(99999) %}{% macro g() %}{{ ns.f }}{% endmacro %}{% set ns.f = g %}{% endfor %}{{ ns.f() | length }}";
    let views = "{% set ns = namespace(l=range(9)) %}{% for i in range(99999) %}{% set ns.l = ns.l | map('string') %}{% endfor %}{{ ns.l | list | length }}";
    let slices = "{% set ns = namespace(l=[1,2]) %}{% for i in range(99999) %}{% set ns.l = ns.l[::-1] %}{% endfor %}{{ ns.l | list | length }}";
    let reversed = "{% set ns = namespace(l=[1,2]) %}{% for i in range(99999) %}{% set ns.l = ns.l | reverse %}{% endfor %}{{ ns.l | list | length }}";
    let sums = "{% set ns = namespace(l=[]) %}{% for i in range(99999) %}{% set ns.l = ns.l + [i] %}{% endfor %}{{ ns.l | length }}";
    let joins = "{% set ns = namespace(s='') %}{% for i in range(99999) %}{% set ns.s = ns.s ~ 'x' %}{% endfor %}{{ ns.s | length }}";
    inputs.extend([deep_macros, views, slices, reversed, sums, joins].map(template));
    inputs
}

/// Much work inside of single calls, which need not be too much.
fn slow() -> Vec<Input> {
    let sources = [
        "{% for a in range(99999) %}{{ range(99999) | sum }}{% endfor %}",
        "{% for a in range(99999) %}{{ range(99999) | sort | map('string') | join | length }}{% endfor %}",
        "{% set l = range(99999) | list %}{% for a in l %}{% if -1 in l %}{% endif %}{% endfor %}{% for a in l %}{% if -1 in l %}{% endif %}{% endfor %}",
        "{% set s = 'x' * 999999 %}{% for a in range(99999) %}{{ s | upper | length }}{% endfor %}",
        "{% set s = 'x' * 999999 %}{% for a in range(99999) %}{{ s.replace('x', 'y') | length }}{% endfor %}",
        "{% set s = 'x' * 999999 %}{% for a in range(99999) %}{{ s.count('y') }}{% endfor %}",
        "{% for a in range(99999) %}{{ range(99999) | list | length }}{% endfor %}",
    ];
    sources.map(template).into()
}

/// Sources that are long.
fn long() -> Vec<Input> {
    let named = |name: &str, source: String| Input::new(name, GENERATE).file(FILE, source);
    vec![
        named("1,000,000 expressions", "{{ 1 }}".repeat(1_000_000)).refused(&[]),
        named(
            "1,000,000 comments",
            format!("{}x", "{# a #}".repeat(1_000_000)),
        ),
        named("4 MB of text", "x".repeat(4 << 20)).refused(&[]),
        named(
            "1 MB of a name",
            format!("{{{{ {} }}}}", "x".repeat(1 << 20)),
        ),
        named(
            "1 MB of a number",
            format!("{{{{ {} }}}}", "9".repeat(1 << 20)),
        ),
        named(
            "1 MB of a string",
            format!("{{{{ '{}' | length }}}}", "x".repeat(1 << 20)),
        ),
        named(
            "1 MB of a format of time",
            format!(
                "{{{{ strftime_now('{}') | length }}}}",
                "%Y".repeat(1 << 19)
            ),
        ),
        named(
            "100,000 variables",
            format!(
                "{}x",
                (0..100_000)
                    .map(|i| format!("{{% set v{i} = {i} %}}"))
                    .collect::<String>()
            ),
        ),
        named(
            "100,000 macros",
            format!(
                "{}x",
                (0..100_000)
                    .map(|i| format!("{{% macro m{i}() %}}{{% endmacro %}}"))
                    .collect::<String>()
            ),
        ),
        named(
            "100,000 arguments",
            format!(
                "{{{{ namespace({}) }}}}",
                (0..100_000).map(|i| format!("a{i}=1,")).collect::<String>()
            ),
        ),
        named("100,000 openings", "{%".repeat(100_000)).refused(&[]),
        named("100,000 openings of comments", "{#".repeat(100_000)).refused(&[]),
        named(
            "a raw block without end",
            format!("{{% raw %}}{}", "{{ x }}".repeat(100_000)),
        )
        .refused(&[]),
    ]
}

/// The template for tools is read too.
fn second_template() -> Input {
    let row = "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"}],\"tools\":[{\"a\":1}]}\n";
    let input = Input::new(
        "a bomb as the template for tools",
        "perplexity --model model --data tools.jsonl --max-seq-length 48",
    );
    let input = input
        .file("model/chat_template.jinja", "{{ messages }}")
        .file("tools.jsonl", row);
    input
        .file(
            "model/additional_chat_templates/tool_use.jinja",
            "{{ 'x' * 10**12 }}",
        )
        .refused(&[])
}
