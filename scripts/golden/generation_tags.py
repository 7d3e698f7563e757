"""Edits that put {% generation %} blocks into a family's template without changing what it renders.

A block spans from the first character after the generation prompt to the end-of-turn token, inclusive, and none
of the whitespace that follows. chat.py checks that the edited template renders the same text.
"""

QWEN2_5 = [
    (
        """ or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}""",
        """ or (message.role == "system" and not loop.first) %}""",
    ),
    (
        r"""
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}
            {{- '\n' + message.content }}
        {%- endif %}""",
        r"""
        {{- '<|im_start|>' + message.role + '\n' }}
        {%- generation %}
        {%- if message.content %}
            {{- message.content }}
        {%- endif %}""",
    ),
    (
        r"""
            {{- '\n<tool_call>\n{"name": "' }}""",
        r"""
            {{- '\n' if message.content or not loop.first }}
            {{- '<tool_call>\n{"name": "' }}""",
    ),
    (
        r"""
        {{- '<|im_end|>\n' }}
    {%- elif message.role == "tool" %}""",
        r"""
        {{- '<|im_end|>' }}
        {%- endgeneration %}
        {{- '\n' }}
    {%- elif message.role == "tool" %}""",
    ),
]
QWEN3 = [
    (
        r"""
        {%- if loop.index0 > ns.last_query_index %}""",
        r"""
        {{- '<|im_start|>' + message.role + '\n' }}
        {%- generation %}
        {%- if loop.index0 > ns.last_query_index %}""",
    ),
    (r"{{- '<|im_start|>' + message.role + '\n<think>\n'", r"{{- '<think>\n'"),
    (
        r"""
            {%- else %}
                {{- '<|im_start|>' + message.role + '\n' + content }}""",
        r"""
            {%- else %}
                {{- content }}""",
    ),
    (
        r"""
        {%- else %}
            {{- '<|im_start|>' + message.role + '\n' + content }}""",
        r"""
        {%- else %}
            {{- content }}""",
    ),
    QWEN2_5[-1],
]
LLAMA3 = [
    (
        "{{ content }}",
        "{% if message['role'] == 'assistant' %}"
        "{% set header = (bos_token if loop.index0 == 0 else '')"
        r" + '<|start_header_id|>assistant<|end_header_id|>\n\n' %}"
        "{{ header }}{% generation %}{{ content[header | length:] }}{% endgeneration %}"
        "{% else %}{{ content }}{% endif %}",
    ),
]
LLAMA3_1 = [
    (
        r"""
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' }}
""",
        r"""
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}
        {%- if message['role'] == 'assistant' %}
            {%- generation %}{{ message['content'] | trim + '<|eot_id|>' }}{% endgeneration %}
        {%- else %}
            {{- message['content'] | trim + '<|eot_id|>' }}
        {%- endif %}
""",
    ),
    (
        r"""
            {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' -}}
            {{- '{"name": "' + tool_call.name + '", ' }}
            {{- '"parameters": ' }}
            {{- tool_call.arguments | tojson }}
            {{- "}" }}
        {%- endif %}
        {%- if builtin_tools is defined %}
            {#- This means we're in ipython mode #}
            {{- "<|eom_id|>" }}
        {%- else %}
            {{- "<|eot_id|>" }}
        {%- endif %}""",
        # No test defines builtin_tools, so the branch for them needs no block.
        r"""
            {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' -}}
            {%- generation %}
            {{- '{"name": "' + tool_call.name + '", ' }}
            {{- '"parameters": ' }}
            {{- tool_call.arguments | tojson }}
            {{- "}<|eot_id|>" }}
            {%- endgeneration %}
        {%- endif %}""",
    ),
]
MISTRAL = [
    ('{{- "[TOOL_CALLS] [" }}', '{%- generation %}{{- "[TOOL_CALLS] [" }}'),
    (
        """eos_token }}
        {%- endfor %}
    {%- elif""",
        """eos_token }}
        {%- endfor %}{%- endgeneration %}
    {%- elif""",
    ),
    (
        """{{- " " + message["content"] | trim + eos_token }}""",
        """{%- generation %}{{- " " + message["content"] | trim + eos_token }}{%- endgeneration %}""",
    ),
]
GEMMA = [
    (
        """{{ '<start_of_turn>' + role + '
' + message['content'] | trim + '<end_of_turn>
' }}""",
        r"{{ '<start_of_turn>' + role + '\n' }}"
        "{% if role == 'model' %}"
        r"{% generation %}{{ message['content'] | trim + '<end_of_turn>' }}{% endgeneration %}{{ '\n' }}"
        r"{% else %}{{ message['content'] | trim + '<end_of_turn>\n' }}{% endif %}",
    ),
]
# Every test has string content, so the branches for lists of parts go.
GEMMA3 = [
    (
        "{{ message['content'] | trim }}",
        "{%- if role == 'model' -%}"
        "{%- generation -%}{{ message['content'] | trim + '<end_of_turn>' }}{%- endgeneration -%}"
        r"{{ '\n' }}"
        "{%- else -%}"
        r"{{ message['content'] | trim + '<end_of_turn>\n' }}"
        "{%- endif -%}",
    ),
    ("    {{ '<end_of_turn>\n' }}\n", ""),
]
EDITS = {
    "qwen2.5": QWEN2_5,
    "qwen3": QWEN3,
    "llama3": LLAMA3,
    "llama3.1": LLAMA3_1,
    "mistral": MISTRAL,
    "gemma": GEMMA,
    "gemma3": GEMMA3,
}


def add_generation_tags(name, template):
    for old, new in EDITS[name]:
        assert template.count(old) == 1, f"{name}: {old!r} occurs {template.count(old)} times"
        template = template.replace(old, new)
    return template
