//! Expected texts are those of Jinja2 3.1.6 in the environment that transformers makes.

mod golden;
mod hostile;

use super::*;
use serde_json::json;

fn messages() -> Vec<Message> {
    let messages = json!([{"role": "system", "content": " Sys\n"}, {"role": "user", "content": "a <b> 'c' \"d\" é 中 😀"}, {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {"z": [1, 1.0, 2.5, 1e+20, 1e-07, true, null], "a": {}, "items": []}}}]}, {"role": "assistant", "content": "<think>\nr\n</think>\n\nok"}]);
    crate::data::testing::objects(messages)
}

fn render(source: &str) -> Result<String> {
    let variables = json!({"s": "Hello World", "n": null, "l": [3, 1, 2], "d": {"b": 1, "a": "x", "items": [1]}});
    let Value::Object(variables) = variables else {
        unreachable!()
    };
    let conversation = Conversation {
        messages: &messages(),
        tools: None,
        add_generation_prompt: false,
    };
    ChatTemplate::compile(source)?.render(conversation, &variables)
}

fn check(cases: &[(&str, &str)]) {
    for (source, expected) in cases {
        match render(source) {
            Ok(text) => assert_eq!(&text, expected, "{source}"),
            Err(error) => panic!("{source}: {error}"),
        }
    }
}

#[test]
fn python_values_print_as_in_python() {
    check(&[
        (
            "{{ n }} {{ true }} {{ 2.0 }} {{ 10 / 4 }} {{ 4 / 2 }} {{ 7 // 2 }} {{ -7 % 3 }}",
            "None True 2.0 2.5 2.0 3 2",
        ),
        (
            r#"{{ l }} {{ d }} {{ (1,) }} {{ [1.5, 'a', "b'c", none, true] }}"#,
            r#"[3, 1, 2] {'b': 1, 'a': 'x', 'items': [1]} (1,) [1.5, 'a', "b'c", None, True]"#,
        ),
        ("{{ n ~ 1 ~ true ~ missing ~ l }}", "None1True[3, 1, 2]"),
        (
            "{{ l | string }}|{{ [n, true] | join(',') }}",
            "[3, 1, 2]|None,True",
        ),
    ]);
}

#[test]
fn undefined_is_lenient() {
    check(&[
        (
            "[{{ missing }}] {{ missing is defined }} {{ missing is none }} {{ missing | default('z') }} {{ missing | length }}",
            "[] False False z 0",
        ),
        ("{% for x in missing %}a{% else %}none{% endfor %}", "none"),
        (
            "{{ 'a' in missing }} {{ missing or 'b' }} {{ d.missing is defined }}",
            "False b False",
        ),
        ("{{ 'a' if missing }}|{{ not missing is defined }}", "|True"),
        (
            "{{ '' | default('z', true) }} {{ n.x is defined }}",
            "z False",
        ),
    ]);
}

#[test]
fn tests_follow_jinja() {
    check(&[
        (
            "{{ s is string }} {{ s is sequence }} {{ s is iterable }} {{ s is mapping }}",
            "True True True False",
        ),
        (
            "{{ d is sequence }} {{ d is iterable }} {{ d is mapping }} {{ l is sequence }} {{ l is iterable }}",
            "True True True True True",
        ),
        (
            "{{ n is iterable }} {{ n is sequence }} {{ 5 is sequence }} {{ n is none }} {{ messages[1:] is sequence }}",
            "False False False True True",
        ),
        (
            "{{ true is number }} {{ true is integer }} {{ true is boolean }} {{ 1 is integer }} {{ 1.5 is float }} {{ true is true }} {{ 5 is in [5] }}",
            "True False True True True True True",
        ),
        (
            "{{ raise_exception is callable }} {{ s is callable }} {{ strftime_now is defined }} {{ namespace is defined }}",
            "True False True True",
        ),
    ]);
}

#[test]
fn slices_are_lists() {
    check(&[
        (
            "{{ messages[1:] | length }} {{ messages[1:][0].role }} {{ messages[1:][-1].role }} {{ messages[-1].role }}",
            "3 user assistant assistant",
        ),
        (
            "{{ messages[::-1][0].role }} {{ messages[1:][::-1][0]['role'] }} {{ messages[::2] | length }} {{ messages[9:] | length }}",
            "assistant assistant 2 0",
        ),
        (
            "{% set m = messages[1:] %}{% for x in m %}{{ m[loop.index0 - 1].role }},{% endfor %}",
            "assistant,user,assistant,",
        ),
        (
            "{{ s[1:] }} {{ s[::-1] }} {{ s[-3:] }} {{ '中文😀'[1] }} {{ l[1:] }} {{ l[::-1] }}",
            "ello World dlroW olleH rld 文 [1, 2] [2, 1, 3]",
        ),
    ]);
}

#[test]
fn dicts_have_python_methods() {
    check(&[
        (
            "{% for k, v in d.items() %}{{ k }}={{ v }},{% endfor %}",
            "b=1,a=x,items=[1],",
        ),
        (
            "{{ d.keys() | list }} {{ d.values() | list }} {{ d | dictsort }}",
            "['b', 'a', 'items'] [1, 'x', [1]] [('a', 'x'), ('b', 1), ('items', [1])]",
        ),
        (
            "{{ d.get('b') }} {{ d.get('zz') }} {{ d.get('zz', 7) }} {{ d['items'] }} {{ d.items() | length }} {{ 'a' in d }}",
            "1 None 7 [1] 3 True",
        ),
        (
            "{{ d.copy() == d }} {{ dict(a=1).a }} {{ {'a': {'b': [1, 2]}}.a.b[1] }}",
            "True 1 2",
        ),
        ("{% for k, v in d | items %}{{ k }}{% endfor %}", "baitems"),
    ]);
}

#[test]
fn strings_have_python_methods() {
    check(&[
        (
            "{{ ' a '.strip() }}|{{ 'xxaxx'.lstrip('x') }}|{{ 'xxaxx'.rstrip('x') }}|{{ s.upper() }}|{{ s.lower() }}|{{ s.capitalize() }}",
            "a|axx|xxa|HELLO WORLD|hello world|Hello world",
        ),
        (
            "{{ s.split() }} {{ s.split(' ') }} {{ s.split('l', 1) }} {{ s.split('l', maxsplit=1) }} {{ s.rsplit('l', 1) }} {{ ' a b  c '.split(None, 1) }}",
            "['Hello', 'World'] ['Hello', 'World'] ['He', 'lo World'] ['He', 'lo World'] ['Hello Wor', 'd'] ['a', 'b  c ']",
        ),
        (
            "{{ s.partition(' ') }} {{ s.rpartition('o') }} {{ s.partition('z') }} {{ s.rpartition('z') }}",
            "('Hello', ' ', 'World') ('Hello W', 'o', 'rld') ('Hello World', '', '') ('', '', 'Hello World')",
        ),
        (
            "{{ s.startswith('He') }} {{ s.startswith(('A', 'H')) }} {{ s.endswith('ld') }} {{ s.find('o') }} {{ s.rfind('o') }} {{ s.find('z') }} {{ s.index('o') }} {{ s.count('l') }}",
            "True True True 4 7 -1 4 3",
        ),
        (
            "{{ s.replace('l', 'L') }} {{ s.replace('l', 'L', 1) }} {{ s.removeprefix('He') }} {{ s.removesuffix('ld') }}",
            "HeLLo WorLd HeLlo World llo World Hello Wor",
        ),
        (
            r#"{{ "it's a-b".title() }} {{ 'HELLO wORLD'.title() }} {{ '5'.zfill(3) }} {{ '-5'.zfill(4) }} {{ 'ab'.center(5, '-') }} {{ 'abc'.center(6, '-') }} {{ 'a'.ljust(3, '.') }} {{ 'a'.rjust(3, '.') }}"#,
            "It'S A-B Hello World 005 -005 --ab- -abc-- a.. ..a",
        ),
        (
            "{{ ','.join(['a', 'b']) }} {{ '{}-{}'.format('a', 1) }} {{ '%s-%s' | format('a', 1) }} {{ 'a' * 3 }} {{ 'a' 'b' }}",
            "a,b a-1 a-1 aaa ab",
        ),
        (
            r#"{{ messages[3].content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') }}"#,
            "r",
        ),
        (
            "{{ messages[0].content | trim }}|{{ 'xax' | trim('x') }}|{{ ''.split() }}|{{ ''.split(',') }}|{{ l.index(1) }}|{{ l.count(1) }}",
            "Sys|a|[]|['']|1|1",
        ),
    ]);
}

#[test]
fn scopes_and_loops_follow_jinja() {
    check(&[
        (
            "{% set ns = namespace(a=1) %}{% for x in l %}{% set ns.a = ns.a + x %}{% endfor %}{{ ns.a }}",
            "7",
        ),
        (
            "{% set a = 1 %}{% for x in l %}{% set a = 2 %}{% endfor %}{{ a }}{% if true %}{% set a = 3 %}{% endif %}{{ a }}",
            "13",
        ),
        (
            "{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}",
            "323",
        ),
        (
            "{% for x in l if x > 1 %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.previtem }}{{ loop.nextitem }};{% endfor %}",
            "10TrueFalse2;21FalseTrue3;",
        ),
        (
            "{% macro m(a, b=2) %}{{ a }}-{{ b }}{% endmacro %}{{ m(1) }} {{ m(1, b=3) }} {{ m(b=1, a=2) }}",
            "1-2 1-3 2-1",
        ),
        (
            "{% macro r(x) %}{% if x is mapping %}{% for k, v in x | items %}{{ k }}:{{ r(v) }};{% endfor %}{% elif x is sequence and x is not string %}[{% for y in x %}{{ r(y) }},{% endfor %}]{% else %}{{ x }}{% endif %}{% endmacro %}{{ r(d) }}",
            "b:1;a:x;items:[1,];",
        ),
        (
            "{% set x %} a {% endset %}[{{ x }}]{% filter upper %}b{% endfilter %}{% for a, b in [[1, 2]] %}{{ a + b }}{% endfor %}{{ range(1, 6, 2) | list }}",
            "[ a ]B3[1, 3, 5]",
        ),
    ]);
}

#[test]
fn filters_follow_jinja() {
    check(&[
        (
            "{{ messages | selectattr('role', 'equalto', 'user') | list | length }} {{ messages | rejectattr('role', 'equalto', 'user') | list | length }} {{ messages | map(attribute='role') | unique | list }}",
            "1 3 ['system', 'user', 'assistant']",
        ),
        (
            "{{ messages | selectattr('tool_calls', 'defined') | list | length }} {{ (messages | last).role }} {{ (messages | first).role }}",
            "1 assistant system",
        ),
        (
            "{{ l | sort }} {{ l | reverse | list }} {{ l | max }} {{ l | sum }} {{ l | first }} {{ 'abc' | list }} {{ l | reject('equalto', 1) | list }} {{ ['a'] | map('upper') | join }}",
            "[1, 2, 3] [2, 1, 3] 3 6 3 ['a', 'b', 'c'] [3, 2] A",
        ),
        (
            "{{ 'a\nb\n\nc' | indent(2) }}|{{ 'a\nb' | indent(2, true) }}|{{ '5' | int + 1 }}|{{ 3.7 | int }}|{{ 3.5 | round }}|{{ '<a>' | e }}|{{ 'a b' | replace(' ', '_') }}",
            "a\n  b\n\n  c|  a\n  b|6|3|4.0|&lt;a&gt;|a_b",
        ),
    ]);
}

#[test]
fn whitespace_control_follows_transformers() {
    check(&[
        (
            "{%- for m in messages %}\n    {%- if m.role == 'user' %}\n        {{- '[user]' }}\n    {%- endif %}\n{{ m.role }}\n    {% if loop.last %}\n  last\n    {% endif %}\n{%- endfor %}\n",
            "system\n[user]user\nassistant\nassistant\n  last\n",
        ),
        (
            "a\n  {% if true %}\n  b\n  {%- if true -%}\n  c\n  {%- endif +%}\n  d\n  {%+ if true %}e{% endif %}\nf {{ s }}\n  {# comment #}\n  g {# c2 -#}\n  h\n{% endif %}\n\n",
            "a\n  bc\n  d\n  ef Hello World\n  g h\n",
        ),
        (
            "  {{- 'x' -}}   \n y  \n{% if true %}\n{% endif %}x\n\n",
            "xy  \nx\n",
        ),
    ]);
}

#[test]
fn generation_tags_leave_no_trace() {
    check(&[
        (
            "{% generation %}\n  {{ s }}\n{% endgeneration %}\n",
            "  Hello World\n",
        ),
        (
            "a {%- generation -%}  b {% endgeneration %}\nc{%+ generation +%}\nd {%-endgeneration-%} e",
            "ab c\nde",
        ),
        (
            "{% generation %}{% set z = 1 %}{% endgeneration %}[{{ z }}]",
            "[]",
        ),
    ]);
}

#[test]
fn tojson_is_json_dumps() {
    check(&[
        (
            "{{ messages | tojson }}",
            r#"[{"role": "system", "content": " Sys\n"}, {"role": "user", "content": "a <b> 'c' \"d\" é 中 😀"}, {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {"z": [1, 1.0, 2.5, 1e+20, 1e-07, true, null], "a": {}, "items": []}}}]}, {"role": "assistant", "content": "<think>\nr\n</think>\n\nok"}]"#,
        ),
        (
            "{{ messages[1:3] | tojson(indent=2) }}",
            "[\n  {\n    \"role\": \"user\",\n    \"content\": \"a <b> 'c' \\\"d\\\" é 中 😀\"\n  },\n  {\n    \"role\": \"assistant\",\n    \"content\": null,\n    \"tool_calls\": [\n      {\n        \"function\": {\n          \"name\": \"f\",\n          \"arguments\": {\n            \"z\": [\n              1,\n              1.0,\n              2.5,\n              1e+20,\n              1e-07,\n              true,\n              null\n            ],\n            \"a\": {},\n            \"items\": []\n          }\n        }\n      }\n    ]\n  }\n]",
        ),
        (
            "{{ messages[1].content | tojson(ensure_ascii=true) }}",
            r#""a <b> 'c' \"d\" \u00e9 \u4e2d \ud83d\ude00""#,
        ),
        (
            "{{ d | tojson(sort_keys=true) }} {{ d | tojson(separators=(',', ':')) }} {{ d | tojson(separators=(',', ':'), indent=1) }}",
            "{\"a\": \"x\", \"b\": 1, \"items\": [1]} {\"b\":1,\"a\":\"x\",\"items\":[1]} {\n \"b\":1,\n \"a\":\"x\",\n \"items\":[\n  1\n ]\n}",
        ),
        (
            "{{ [0.1, 1e16, 1e15, 0.0001, 0.00001, -0.0, 100.0, 1.5e300] | tojson }} {{ 12345678901234567890 | tojson }}",
            "[0.1, 1e+16, 1000000000000000.0, 0.0001, 1e-05, -0.0, 100.0, 1.5e+300] 12345678901234567890",
        ),
        (
            r#"{{ [[], {}] | tojson(indent=2) }} {{ [1, [2]] | tojson(indent=0) }} {{ n | tojson }} {{ {1: 2, none: 4, 1.5: 2} | tojson }} {{ 'a\\b/\t' | tojson }}"#,
            "[\n  [],\n  {}\n] [\n1,\n[\n2\n]\n] null {\"1\": 2, \"null\": 4, \"1.5\": 2} \"a\\\\b/\\t\"",
        ),
    ]);
}

#[test]
fn what_python_refuses_is_an_error() {
    for source in [
        "{{ missing.foo }}",
        "{{ d.nope.foo }}",
        "{{ messages[99].role }}",
        "{{ 'a' + 1 }}",
        "{{ 'a' + n }}",
        "{{ 'a' + missing }}",
        "{{ missing | tojson }}",
        "{{ s.nope() }}",
        "{{ s.index('zz') }}",
        "{{ s.split('') }}",
        "{{ l.append(4) }}",
        "{{ d.update({'x': 1}) }}",
    ] {
        let rendered = render(source);
        assert!(
            matches!(rendered, Err(Error::TemplateRender { .. })),
            "{source}: {rendered:?}"
        );
    }
}

#[test]
fn a_refusal_gives_the_templates_own_words() {
    match render("{{ raise_exception('no ' ~ messages[0].role) }}") {
        Err(Error::TemplateRaised { message }) => assert_eq!(message, "no system"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_template_error_gives_the_line() {
    let syntax = render("a\n{% if %}").unwrap_err().to_string();
    assert!(syntax.contains(":2)"), "{syntax}");
    let failure = render("a\nb\n{{ missing.x }}").unwrap_err().to_string();
    assert!(failure.contains(":3)"), "{failure}");
}

#[test]
fn an_empty_list_has_a_reverse() {
    check(&[("{{ messages[9:][::-1] | list }}", "[]")]);
}

#[test]
fn no_messages_are_an_error() {
    let template = ChatTemplate::compile("{{ messages[::-1] }}").unwrap();
    let conversation = Conversation {
        messages: &[],
        tools: None,
        add_generation_prompt: false,
    };
    assert!(matches!(
        template.render(conversation, &Map::new()),
        Err(Error::NoMessages)
    ));
}

#[test]
fn the_conversation_hides_variables_of_its_names() {
    let template = ChatTemplate::compile(
        "{{ messages | length }}{{ tools }}{{ add_generation_prompt }}{{ x }}",
    )
    .unwrap();
    let Value::Object(variables) = json!({"messages": 7, "tools": 7, "x": 7}) else {
        unreachable!()
    };
    let tools = [json!("t").into()];
    let conversation = Conversation {
        messages: &messages()[..1],
        tools: Some(&tools),
        add_generation_prompt: true,
    };
    assert_eq!(
        template.render(conversation, &variables).unwrap(),
        "1['t']True7"
    );
}

#[test]
fn the_date_is_formatted_as_by_strftime() {
    let year = render("{{ strftime_now('%Y') }}").unwrap();
    assert!(
        year.len() == 4 && year.parse::<u32>().unwrap() >= 2025,
        "{year}"
    );
    let date = render("{{ strftime_now('%d %b %Y|%B|%A') }}").unwrap();
    assert_eq!(date.matches('|').count(), 2);
    assert!(date[3..6].chars().all(char::is_alphabetic), "{date}");
}

/// Issue: a template written on Windows. Jinja turns CR LF and CR into LF before anything else.
#[test]
fn line_breaks_are_normalised() {
    check(&[
        ("a\r\n{% if true %}\r\nb\rc{% endif %}\r\n", "a\nb\nc"),
        ("{{ 'x\r\ny\rz' }}\n\r\n", "x\ny\nz\n"),
    ]);
}
