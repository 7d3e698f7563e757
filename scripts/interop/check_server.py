"""Asks `metal-candle server` through OpenAI's own client, and compares what it answers with transformers, PEFT and
mlx_lm.server. Run by hand.

    cargo build -p metal-candle-cli
    pip install -r scripts/golden/requirements.txt openai==3.57.0
    python scripts/interop/check_server.py [--program target/debug/metal-candle] [--mlx mlx_lm.server]

The model is the tiny one of crates/cli/tests/golden/mlx_lm, with an adapter that is trained here. `--mlx` is the program of
mlx-lm, which is asked the same where it is given. Fails (exit code 1) where an answer differs.
"""

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TRANSFORMERS_VERBOSITY="error")

import openai
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

GOLDEN = Path(__file__).resolve().parents[2] / "crates/cli/tests/golden/mlx_lm"
MODEL = GOLDEN / "model"
N_TOKENS = 24
TOLERANCE = 1e-4
QUESTIONS = ["say 3 please", "what is it", "5 it is"]


def messages(text):
    return [dict(role="system", content="brief"), dict(role="user", content=text)]


class Reference:
    """What transformers says, greedily, with log probabilities."""

    def __init__(self, adapter):
        self.tokenizer = AutoTokenizer.from_pretrained(MODEL)
        self.base = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
        other = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
        self.adapted = PeftModel.from_pretrained(other, adapter)

    def answer(self, model, text):
        ids = self.tokenizer.apply_chat_template(messages(text), add_generation_prompt=True, return_dict=False)
        n_prompt, logprobs, ended = len(ids), [], False
        with torch.no_grad():
            for _ in range(N_TOKENS):
                row = model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
                ids = ids + [int(row.argmax())]
                if ended := ids[-1] == self.tokenizer.eos_token_id:
                    break
                logprobs.append(row.max().item())
        new = ids[n_prompt : len(ids) - ended]
        return self.tokenizer.decode(new, skip_special_tokens=True), logprobs, n_prompt, len(ids) - n_prompt


class Server:
    def __init__(self, words, ready, url=None):
        self.process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if found := re.search(ready, line):
                self.url = url or found[1]
                return
        raise SystemExit(f"{words[0]} ended")

    def client(self, **settings):
        return openai.OpenAI(base_url=self.url, **(dict(api_key="key", max_retries=0, timeout=60) | settings))

    def stop(self):
        self.process.terminate()
        return self.process.wait()


def ask(client, text, **fields):
    return client.chat.completions.create(**(dict(model="default_model", messages=messages(text), max_tokens=N_TOKENS) | fields))


def told(what):
    print(f"ok  {what}", flush=True)


def check_answers(client, reference):
    largest = 0.0
    for name, model in (("default_model", reference.base), ("tuned", reference.adapted)):
        for text in QUESTIONS:
            expected, logprobs, n_prompt, n_new = reference.answer(model, text)
            reply = ask(client, text, model=name, logprobs=True, top_logprobs=2)
            assert reply.choices[0].message.content == expected, (name, text)
            assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (n_prompt, n_new), reply.usage
            content = reply.choices[0].logprobs.content
            assert len(content) == len(logprobs)
            for token, logprob in zip(content, logprobs):
                assert token.top_logprobs[0].logprob == token.logprob
                assert len(token.top_logprobs) == 2
                largest = max(largest, abs(token.logprob - logprob))
    assert largest < TOLERANCE, largest
    told(f"answers of the model and of an adapter, and their numbers of tokens, are those of transformers and PEFT")
    told(f"log probabilities: largest difference {largest:.1e}")


def check_together(client):
    cases = [(model, text) for model in ("default_model", "tuned") for text in QUESTIONS] * 3
    alone = [ask(client, text, model=model).choices[0].message.content for model, text in cases]
    with ThreadPoolExecutor(len(cases)) as pool:
        together = list(pool.map(lambda case: ask(client, case[1], model=case[0]).choices[0].message.content, cases))
    assert together == alone
    told(f"{len(cases)} clients at once are answered as each alone")


def check_stream(client):
    plain = ask(client, QUESTIONS[0], n=2, temperature=0.8, seed=3)
    stream = ask(client, QUESTIONS[0], n=2, temperature=0.8, seed=3, stream=True, stream_options=dict(include_usage=True))
    texts, reasons, usage = ["", ""], [None, None], None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            reasons[choice.index] = choice.finish_reason or reasons[choice.index]
    assert texts == [choice.message.content for choice in plain.choices] and texts[0] != texts[1]
    assert reasons == [choice.finish_reason for choice in plain.choices]
    assert usage == plain.usage, usage
    told(f"a stream with n=2 is the plain answer; {usage.completion_tokens} tokens")


def check_others(client):
    models = [model.id for model in client.models.list()]
    assert models == [str(MODEL), "tuned"] and client.models.retrieve("tuned").parent == str(MODEL), models
    told("models are listed, and the adapter among them")
    reply = client.completions.create(model="tuned", prompt=["say 3", "what"], max_tokens=5, logprobs=2, stop=["\n\n"])
    assert len(reply.choices) == 2 and len(reply.choices[1].logprobs.token_logprobs) <= 5
    whole = client.completions.create(model="tuned", prompt="say 3", max_tokens=5)
    stream = client.completions.create(model="tuned", prompt="say 3", max_tokens=5, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == whole.choices[0].text == reply.choices[0].text
    told("completions of two prompts, with log probabilities, and as a stream")
    kept = ask(client, QUESTIONS[0], user="me", metadata={"a": "b"}, store=False, frequency_penalty=0.5, extra_body=dict(min_p=0.1))
    assert kept.choices[0].message.role == "assistant"
    told("fields of other servers in extra_body")


def check_errors(client, server):
    def fails(kind, fields, code, client=client):
        try:
            ask(client, "x", **fields)
        except kind as error:
            assert error.code == code, error
            return error
        raise AssertionError(f"{fields} is no {kind.__name__}")

    found = [
        fails(openai.BadRequestError, dict(temperature=-1.0), None),
        fails(openai.BadRequestError, dict(response_format={"type": "json_object"}), "unsupported_parameter"),
        fails(openai.BadRequestError, dict(extra_body=dict(tempreature=1)), "unknown_parameter"),
        fails(openai.BadRequestError, dict(messages=messages("please " * 400)), "context_length_exceeded"),
        fails(openai.NotFoundError, dict(model="unknown"), "model_not_found"),
        fails(openai.AuthenticationError, {}, "invalid_api_key", server.client(api_key="other")),
    ]
    told(f"errors are {', '.join(sorted({type(error).__name__ for error in found}))}")


def check_mlx(client, program):
    """The same requests to mlx_lm.server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [program, "--model", str(MODEL), "--port", str(port), "--max-tokens", str(N_TOKENS)]
    mlx = Server(words, r"(Starting httpd)", f"http://127.0.0.1:{port}/v1")
    try:
        time.sleep(1)
        same(client, mlx.client())
    finally:
        mlx.stop()


def same(client, other):
    """Compares token ids, since pieces of characters, of which a tiny model writes many, are shown in another way."""
    cases = [
        {},
        dict(frequency_penalty=0.7),
        dict(presence_penalty=1.5, extra_body=dict(presence_context_size=5)),
        dict(extra_body=dict(repetition_penalty=1.4, repetition_context_size=8)),
        dict(logit_bias={"40": 3.0, "41": -4.0}),
        dict(max_tokens=3),
    ]
    largest, answers = 0.0, set()
    for fields in cases:
        for text in QUESTIONS:
            a, b = (ask(server, text, logprobs=True, **fields) for server in (client, other))
            ours, theirs = a.choices[0].logprobs.content, b.choices[0].logprobs.content
            ids = [token.id for token in ours]
            # mlx-lm tells the token that ended the text too.
            assert ids == [token.id for token in theirs][: len(ids)] and len(theirs) == a.usage.completion_tokens
            assert a.choices[0].finish_reason == b.choices[0].finish_reason, (fields, a, b)
            assert a.usage.prompt_tokens == b.usage.prompt_tokens
            assert a.usage.completion_tokens == b.usage.completion_tokens, (fields, a.usage, b.usage)
            answers.add(tuple(ids))
            if fields == {}:
                largest = max([largest] + [abs(one.logprob - two.logprob) for one, two in zip(ours, theirs)])
    assert len(answers) > 3 * len(QUESTIONS), "the fields do nothing"
    assert largest < TOLERANCE, largest
    told(f"{len(cases) * len(QUESTIONS)} answers are those of mlx_lm.server; log probabilities differ by at most {largest:.1e}")


def train(program, folder):
    words = f"{program} train --model {MODEL} --data {GOLDEN}/completions --adapter-path {folder} --iters 12 --learning-rate 3e-2"
    subprocess.run(words.split(), check=True, capture_output=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", default="target/debug/metal-candle")
    parser.add_argument("--mlx")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        adapter = f"{folder}/adapter"
        train(args.program, adapter)
        words = [args.program, "server", "--model", str(MODEL), "--adapter-path", f"tuned={adapter}", "--port", "0"]
        server = Server(words + ["--api-key", "key"], r"Serving .* at (\S+)")
        try:
            client = server.client()
            check_answers(client, Reference(adapter))
            check_together(client)
            check_stream(client)
            check_others(client)
            check_errors(client, server)
            if args.mlx:
                check_mlx(client, args.mlx)
        finally:
            code = server.stop()
        assert code == 130, code
        told("SIGTERM ends the server with 130")


if __name__ == "__main__":
    sys.exit(main())
