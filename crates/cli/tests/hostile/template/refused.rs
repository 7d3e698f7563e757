//! Templates that Jinja refuses as well.

use super::FILE;
use crate::input::{GENERATE, Input};

pub fn inputs() -> Vec<Input> {
    let sources = [
        // Python raises.
        "{{ 1 / 0 }}",
        "{{ 1 // 0 }}",
        "{{ 1 % 0 }}",
        "{{ 1.0 // 0 }}",
        "{{ 0 ** -1 }}",
        "{{ 'abc'[::0] }}",
        "{{ [1][::0] }}",
        "{{ range(0, 10, 0) | list }}",
        "{{ 'a'.split('') }}",
        "{{ 'a'.rsplit('') }}",
        "{{ 'a'.partition('') }}",
        "{{ [1].index(2) }}",
        "{{ 'a'.index('b') }}",
        "{{ 'a' + 1 }}",
        "{{ [] + 1 }}",
        "{{ '%d' % 'x' }}",
        "{{ '%' % 1 }}",
        "{{ '%d %d' % 1 }}",
        "{{ nothing.at.all }}",
        "{{ none.a.b }}",
        "{{ raise_exception('no') }}",
        "{{ nothing() }}",
        "{{ 'a' | nothing }}",
        "{% if 1 is nothing %}{% endif %}",
        "{{ messages.append(1) }}",
        "{{ raise_exception('\u{1b}[31mred\u{7}\u{202e}') }}",
        "{{ raise_exception('x' * 100000) }}",
        // Nothing outside of the template is reached.
        "{% include 'chat_template' %}",
        "{% include 'chat_template.jinja' %}",
        "{% include '/etc/passwd' %}",
        "{% extends 'chat_template' %}",
        "{% import 'chat_template' as x %}",
        "{% from 'chat_template' import x %}",
        "{% include ['a', 'b'] %}",
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.__class__.__name__.x }}",
        // No template.
        "{{",
        "{%",
        "{{ ",
        "{% if %}",
        "{% for %}",
        "{% if 1 %}",
        "{% endif %}",
        "{% for x in [1] %}",
        "{% set %}",
        "{% set 1 = 2 %}",
        "{{ 1 + }}",
        "{{ 'a }}",
        "{% nothing %}",
        "{% macro %}{% endmacro %}",
        "{% generation %}",
        "{% endgeneration %}",
        "{% break %}",
        "{{ a b }}",
        "{% call x %}",
        // More than Jinja's sandbox counts.
        "{% for i in range(100001) %}{% endfor %}",
        "{% for i in range(10**9) %}{% endfor %}",
        "{{ range(10**18) | list }}",
        "{{ range(0 - 10**18, 10**18) | length }}",
    ];
    // Where the source is cut short, the prompt would close it.
    let whole = |source: &str| {
        let name: String = source.chars().take(140).collect();
        Input::new(format!("refused {name}"), GENERATE)
            .file(FILE, source)
            .refused(&[])
    };
    sources.map(whole).into()
}
