//! What a parser, a compiler or a destructor that calls itself does not survive.

use super::template;
use crate::input::Input;
use crate::mutate::nested;

pub fn inputs() -> Vec<Input> {
    type Nest = (&'static str, fn(usize) -> String);
    let shapes: [Nest; 24] = [
        ("parentheses", |n| {
            format!("{{{{ {} }}}}", nested("(", "1", ")", n))
        }),
        ("lists", |n| {
            format!("{{{{ {} }}}}", nested("[", "1", "]", n))
        }),
        ("maps", |n| {
            format!("{{{{ {} }}}}", nested("{'a':", "1", "}", n))
        }),
        ("sums", |n| format!("{{{{ 1{} }}}}", "+1".repeat(n))),
        ("products", |n| format!("{{{{ 1{} }}}}", "*1".repeat(n))),
        ("powers", |n| format!("{{{{ 1{} }}}}", "**1".repeat(n))),
        ("joins", |n| format!("{{{{ '' {} }}}}", "~ ''".repeat(n))),
        ("ands", |n| format!("{{{{ 1{} }}}}", " and 1".repeat(n))),
        ("ors", |n| format!("{{{{ 0{} }}}}", " or 0".repeat(n))),
        ("nots", |n| format!("{{{{ {}1 }}}}", "not ".repeat(n))),
        ("signs", |n| format!("{{{{ {}1 }}}}", "-".repeat(n))),
        ("comparisons", |n| {
            format!("{{{{ 1{} }}}}", " == 1".repeat(n))
        }),
        ("attributes", |n| {
            format!("{{{{ messages{} }}}}", ".a".repeat(n))
        }),
        ("items", |n| {
            format!("{{{{ messages{} }}}}", "[0]".repeat(n))
        }),
        ("calls", |n| format!("{{{{ messages{} }}}}", "()".repeat(n))),
        ("filters", |n| {
            format!("{{{{ 'a'{} }}}}", "|upper".repeat(n))
        }),
        ("tests", |n| {
            format!("{{{{ 1{} }}}}", " is defined".repeat(n))
        }),
        ("choices", |n| {
            format!("{{{{ {}0 }}}}", "1 if 0 else ".repeat(n))
        }),
        ("ifs", |n| nested("{% if 1 %}", "a", "{% endif %}", n)),
        ("elifs", |n| {
            format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(n))
        }),
        ("loops", |n| {
            nested("{% for a in [1] %}", "a", "{% endfor %}", n)
        }),
        ("macros", |n| {
            nested("{% macro a() %}", "a", "{% endmacro %}", n)
        }),
        ("withs", |n| {
            nested("{% with a = 1 %}", "a", "{% endwith %}", n)
        }),
        ("strings side by side", |n| {
            format!("{{{{ {} }}}}", "'a' ".repeat(n))
        }),
    ];
    let input = |(name, shape): Nest| {
        [1000, 10_000, 100_000].map(|n| template(shape(n)).named(&format!("{n} {name}")))
    };
    shapes.into_iter().flat_map(input).collect()
}
