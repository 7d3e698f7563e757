"""Faults in our kernels, one at a time, each of which the replay has to find.

    python3 mutations.py [--only WHAT] [--barriers] [FOLDER]

A fault is found by wrong numbers, by an error of the GPU, or else by what racecheck or memcheck say of it. Those of
`mutations.json` are looked for in the text of every library; with --barriers every barrier is left out in turn instead, and what
was not found is only told: some are for what the GPU does not do.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from gpu import Gpu, GpuError
from launches import all_of
from replay import allowed, differences, first_of_each, run

BARRIER = re.compile(r"threadgroup_barrier \( [^;]*;")
ENTRY = re.compile(r'\nextern "C" __global__ void gpu_(\w+)\(.*?\n}\n', re.S)

# Libraries that a fault is tried in, and launches of each of their kernels: at first, and where that does not find it.
FEW = 2, 8
MANY = 12, 12

SECONDS = 100

# Asked where numbers are right and the GPU is content.
TOOLS = ["racecheck", "memcheck"]
WORD = "found:"


@dataclass
class Fault:
    what: str
    # Kernels that are launched.
    kernels: str
    # Pattern of the text that is replaced, and what comes there; which of the places.
    pattern: re.Pattern
    new: str
    nth: int = 0
    # The library it is tried in, where that is one.
    library: str = ""
    # Pattern that a library has to have, too.
    beside: re.Pattern = re.compile("")

    def text(self, text):
        """The text with the fault, or `None`."""
        places = list(self.pattern.finditer(text))
        if self.nth >= len(places) or not self.beside.search(text):
            return None
        place = places[self.nth]
        return text[: place.start()] + self.new + text[place.end() :]


def tokens(text):
    """Pattern of a text, whatever is between its words."""
    return re.compile(r"\s*".join(map(re.escape, re.findall(r"\w+|\S", text))))


def listed():
    """The faults of the table."""
    table = json.loads((Path(__file__).parent / "mutations.json").read_text())
    return [
        Fault(row["what"], row["kernels"], tokens(row["old"]), row["new"], beside=tokens(row.get("beside", "")))
        for row in table
    ]


def of_barriers(launches):
    """Every barrier of one library of those that have the same kernels; float32 where there is such."""
    families = {}
    for launch in launches:
        families.setdefault(launch.library, [launch.text(), set()])[1].add(launch.kernel)
    one = {}
    for library, (text, kernels) in sorted(families.items(), key=lambda f: -len(re.findall("typedef float", f[1][0]))):
        one.setdefault(frozenset(kernels), (library, text))
    return [
        Fault(f"barrier {n} of {', '.join(sorted(kernels))}", "", BARRIER, "", n, library)
        for kernels, (library, text) in one.items()
        for n in range(0 if shares(text) else 2, len(BARRIER.findall(text)))
    ]


def shares(text):
    """Whether a library calls what its first two barriers are in: `share` of the prelude, by a sum or a maximum."""
    return len(re.findall(r"group_(sum|max) \(", text)) > 2


def only(text, kernels):
    """The text with these entry points alone: what nobody calls is not compiled."""
    return ENTRY.sub(lambda entry: entry[0] if entry[1] in kernels else "", text)


def faulty(fault, launches, most):
    """Launches that the fault is tried with, each with its text; of so many libraries, and of a kernel of these."""
    most_libraries, most_launches = most
    launches = [la for la in launches if re.search(fault.kernels, la.kernel) and fault.library in la.library]
    texts = {}
    # Libraries of float32 have the narrowest tolerance.
    for launch in sorted(launches, key=lambda launch: "typedef float" not in launch.text()):
        if launch.library not in texts and len(texts) < most_libraries:
            if text := fault.text(launch.text()):
                texts[launch.library] = text
    chosen = first_of_each([launch for launch in launches if launch.library in texts], most_launches)
    kernels = {launch.kernel for launch in chosen}
    return [(launch, only(texts[launch.library], kernels)) for launch in chosen]


def sign(gpu, tried):
    """What shows that something is wrong, or `None`."""
    try:
        for launch, text in tried:
            for kind, error in differences(launch, run(gpu, launch, text)).items():
                if error > allowed(kind):
                    return f"{launch.kernel} of {kind} is {error:.1e} off"
    except GpuError as error:
        return str(error).splitlines()[0]
    return None


def look(arguments, tool=None):
    """One fault in a process of its own, under a tool; what it found."""
    under = ["compute-sanitizer", "--tool", tool, "--print-limit", "1", "--error-exitcode", "9"] if tool else []
    command = [*under, sys.executable, __file__, *arguments]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return None if tool else "it does not end"
    told = re.search(f"^{WORD} (.*)", ended.stdout, re.M)
    if told:
        return told[1]
    if ended.returncode == 9:
        lines = [line for line in ended.stdout.splitlines() if re.search("Error|hazard|Invalid|Race", line)]
        return f"{tool}: {lines[0].strip('= ') if lines else 'an error'}"
    return None if ended.returncode == 0 else f"exit status {ended.returncode}: {ended.stderr[-200:]}"


def find(arguments):
    tools = TOOLS if shutil.which("compute-sanitizer") else []
    for tool in [None, *tools]:
        if found := look(arguments, tool):
            return found
    return None


def find_each(faults, arguments, gpu):
    """What finds each of some faults, by number: `(launches with texts, arguments of the process that looks)`."""
    gpu.compiler.compile({text for tried in faults.values() for _, text in tried})
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        ask = lambda n: find([*arguments, "--one", str(n)]) if faults[n] else None
        return dict(zip(faults, pool.map(ask, faults)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    parser.add_argument("--only", default="", metavar="WHAT")
    parser.add_argument("--barriers", action="store_true")
    parser.add_argument("--many", action="store_true", help="in more libraries and launches at once")
    parser.add_argument("--one", type=int, metavar="N", help="only look for the N-th")
    given = parser.parse_args()
    launches = all_of(given.folder)
    faults = of_barriers(launches) if given.barriers else listed()
    gpu = Gpu(given.folder)
    if given.one is not None:
        told = sign(gpu, faulty(faults[given.one], launches, MANY if given.many else FEW))
        print(f"{WORD} {told}" if told else "nothing is wrong")
        return 0
    chosen = [n for n, fault in enumerate(faults) if re.search(given.only, fault.what)]
    arguments = [str(given.folder), *["--barriers"] * given.barriers]
    tried = {n: faulty(faults[n], launches, FEW) for n in chosen}
    found = find_each(tried, arguments, gpu)
    hidden = {n: faulty(faults[n], launches, MANY) for n in chosen if tried[n] and not found[n]}
    found |= find_each(hidden, [*arguments, "--many"], gpu)
    for n in chosen:
        missing = "not found" if tried[n] else "no library has this text"
        print(f"{'ok ' if found[n] else 'BAD'} {faults[n].what}: {found[n] or missing}")
    missed = sum(found[n] is None for n in chosen)
    print(f"{len(chosen)} faults, {missed} not found")
    return int(missed > 0 and not given.barriers or not chosen)


if __name__ == "__main__":
    sys.exit(main())
