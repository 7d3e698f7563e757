//! Templates that Jinja renders.

use super::template;
use crate::input::Input;

pub fn inputs() -> Vec<Input> {
    let sources = [
        "",
        "\u{feff}",
        "{# a\r\nb #}",
        "{%- if true -%}\r\n{%- endif -%}",
        "{{ [][::-1] }}",
        "{{ 'abc'[::-1] }}",
        "{{ ''[::-1] }}",
        "{{ [1,2,3][-2:] }}",
        "{{ 'abc'[10:20] }}",
        "{{ 'abc'[-10:20] }}",
        "{{ 'abc'[5:1] }}",
        "{{ 'h\u{e9}'[1:] }}",
        "{{ (1, 2)[::-1] }}",
        "{{ [1,2,3][::2] }}",
        "{{ '%s-%d' % ('a', 1) }}",
        "{{ '%.2f' % 1 }}",
        "{{ 'ab'.ljust(4) }}",
        "{{ 'a'.zfill(3) }}",
        "{{ 'a\nb' | indent(2) }}",
        "{% for i in range(100000) %}{% endfor %}",
        "{{ range(3, -3, -1) | list }}",
        "{{ 2**62 }}",
        "{{ 7 // -2 }}",
        "{{ -7 % 3 }}",
        "{% set ns = namespace(a=1) %}{% set ns.a = ns.a + 1 %}{{ ns.a }}",
        "{{ messages | tojson(indent=2) | length }}",
        "{{ strftime_now('%Y') }}",
        "{% generation %}{% endgeneration %}",
        "{% macro f(x) %}{{ x }}{% endmacro %}{{ f(1) }}",
        "{% for x in [1,2] %}{{ loop.index }}{% if loop.first %}{% continue %}{% endif %}{% endfor %}",
        "{% set x %}a{% endset %}{{ x }}",
        "{% for x in [[1],[2]] recursive %}{% if x is iterable %}{{ loop(x) }}{% endif %}{% endfor %}",
        "{{ 'a' if false }}",
        "{{ nothing }}",
        "{{ nothing | default('x') }}",
        "{{ {} | items | list }}",
        "{{ 'a,b' | replace(',', '') }}",
    ];
    let input = |source: &str| {
        template(source)
            .named(&format!("accepted {source}"))
            .accepted()
    };
    sources.map(input).into()
}
