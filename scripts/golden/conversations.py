"""The conversations that chat.py renders with each family's template, and the texts it tokenizes."""


def system(content):
    return {"role": "system", "content": content}


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


def call(name, arguments, id):
    return {"type": "function", "id": id, "function": {"name": name, "arguments": arguments}}


def tool(content, name, id):
    return {"role": "tool", "name": name, "tool_call_id": id, "content": content}


COMMON = {
    "single_turn": [user("Hello, who are you?"), assistant("I am a small test model.")],
    "prompt_only": [user("Hello?")],
    "system": [system("Answer briefly."), user("What is 2 + 2?"), assistant("4")],
    "multi_turn": [
        user("Name a colour."),
        assistant("Blue."),
        user("And another one?"),
        assistant("Green, the colour of grass."),
    ],
    "multi_turn_open": [user("Name a colour."), assistant("Blue."), user("Why that one?")],
    "system_multi_turn": [
        system("You are terse.\nNever apologise."),
        user("Hi"),
        assistant("Hi."),
        user("Hi"),
        assistant("Again: hi."),
        user("Bye"),
        assistant("Bye."),
    ],
    "unicode": [
        user("Translate: 你好,世界! 🙂👩‍👩‍👧 naïve Ωμέγα"),
        assistant("Hello, world! 🌍 — déjà vu, こんにちは"),
        user("🇨🇭?"),
        assistant("瑞士"),
    ],
    "outer_spaces": [
        user("  two spaces before, one after "),
        assistant("  an indented answer \t "),
        user("\ttab and newline\n"),
        assistant("   "),
    ],
    "leading_newlines": [user("\nOne\n\nTwo"), assistant("\n\nThree\n"), user("Go on"), assistant("\nFour")],
    "empty_answer": [user("Say nothing."), assistant(""), user("Thanks."), assistant("Welcome.")],
    "two_user_turns": [user("First part."), user("Second part."), assistant("Got both.")],
}

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Weather of a city, e.g. \"Zürich\" or <b>'東京'</b> & more",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "Name of the city"},
                    "days": {"type": "integer", "minimum": 1, "default": None},
                    "unit": {"type": "string", "enum": ["C", "F"]},
                },
                "required": ["city"],
            },
        },
    },
    {"type": "function", "function": {"name": "now", "description": "The time", "parameters": {"type": "object"}}},
]
ZURICH = call("get_weather", {"city": "Zürich", "days": 2, "unit": "C", "exact": True, "limit": 1.0}, "call00001")
WITH_TOOLS = {
    "tools_unused": [system("Be kind."), user("Hello"), assistant("Hello to you.")],
    "tool_call": [
        user("Weather in Zürich?"),
        assistant("", tool_calls=[ZURICH]),
        tool('{"sky": "rain", "max": 11.5}', "get_weather", "call00001"),
        assistant("Rain, up to 11.5 °C."),
        user("Thanks!"),
        assistant("Any time."),
    ],
    "tool_call_open": [
        system("Use tools."),
        user("Weather in Zürich?"),
        assistant("Let me look.", tool_calls=[ZURICH]),
        tool("rain", "get_weather", "call00001"),
    ],
    "parallel_tool_calls": [
        user("Weather and time?"),
        assistant(None, tool_calls=[ZURICH, call("now", {}, "call00002")]),
        tool("rain", "get_weather", "call00001"),
        tool("12:00", "now", "call00002"),
        assistant("Rain at noon."),
    ],
}
# Qwen3 drops the thoughts of the turns before the last user message, and opens the last turn with a think block.
ONLY_QWEN3 = {
    "think_in_content": [
        user("2 + 2?"),
        assistant("<think>\nTwo and two.\n</think>\n\n4"),
        user("3 + 3?"),
        assistant("<think>\nThree and three.\n</think>\n\n6"),
    ],
    "think_in_field": [
        user("2 + 2?"),
        assistant("4", reasoning_content="Two and two."),
        user("3 + 3?"),
        assistant("6", reasoning_content="Three and three."),
        user("Sure?"),
    ],
    "think_between_tools": [
        user("Time?"),
        assistant("", reasoning_content="I need a clock.", tool_calls=[call("now", "{}", "call00001")]),
        tool("12:00", "now", "call00001"),
        assistant("Noon.", reasoning_content="Twelve is noon."),
    ],
}

TEXTS = [
    "",
    "Hello world",
    " leading and trailing ",
    "  two spaces,   three spaces",
    "line\nbreaks\r\nand\n\n\ttabs\n",
    "It's 2024, isn't IT'LL 1234567 3.14?",
    "naïve café — Ωμέγα",
    "cafe\u0301 (decomposed accent)",
    "你好,世界 こんにちは 안녕",
    "🙂👩‍👩‍👧🇨🇭",
    "fn main() { println!(\"{}\", x[0] += 1); } // <T>",
    "    \n   ",
]


def conversations(family):
    """(name, messages, tools) of each conversation that the family is tested with."""
    for name, messages in (COMMON | with_markers(family)).items():
        yield name, messages, None
    for name, messages in WITH_TOOLS.items() if family.tools else ():
        yield name, messages, TOOLS
    for name, messages in ONLY_QWEN3.items() if family.name == "qwen3" else ():
        yield name, messages, None


def with_markers(family):
    """Text that looks like the markup of turns, but is not: it must not start, or end, an assistant's turn."""
    header, end = family.header[0], family.end_of_turn
    return {
        "markers_in_user_text": [user(f"Explain {header}\n\nand {end}."), assistant("They are markers.")],
        "markers_in_answer": [user("How does a turn end?"), assistant(f"With {end} and\nno more.")],
    }


def texts(family):
    marked = f"a {family.end_of_turn}\nb{family.special[0]}{''.join(family.plain_added)} c"
    return [*TEXTS, marked]
