"""Perdura and its peers in one run, taking turns, so that whatever else the machine does falls on both. Prints a
table of medians and ratios in Markdown.

    PERDURA_DATA=DIR python tests/peers/side_by_side.py                   # all parts, 5 turns
    PERDURA_DATA=DIR python tests/peers/side_by_side.py er cls-er         # some
    PERDURA_DATA=DIR python tests/peers/side_by_side.py --turns 3 --threads 1 resnet18

Needs the plugins and `ratios` built, for `resnet18` with LibTorch (see README.md beside this file).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


# What the host sets for workers, here for PyTorch too: freed memory is not handed back to the system within a step.
# (Shipped learners bring an allocator of their own, which does not read these.)
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "67108864", "MALLOC_TRIM_THRESHOLD_": "268435456"}


def last_json(command, threads, cwd=None):
    """The document that a command prints last."""
    variables = {"OMP_NUM_THREADS": str(threads), "RAYON_NUM_THREADS": str(threads), **ALLOCATOR}
    done = subprocess.run([str(word) for word in command], cwd=cwd, env={**os.environ, **variables}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit(f"{command}: exit code {done.returncode}\n{done.stderr}")
    start = done.stdout.rfind("\n{", 0, -1) + 1
    return json.loads(done.stdout[start:])


def peer(script, *words, threads):
    return last_json([sys.executable, HERE / script, *words, "--threads", threads], threads)


def ratios(*words, threads):
    programs = sorted((ROOT / "target/release/deps").glob("ratios-*"), key=os.path.getmtime)
    programs = [program for program in programs if os.access(program, os.X_OK) and not program.suffix]
    if not programs:
        sys.exit("build it first: cargo bench -p perdura-nn --bench ratios --no-run")
    return last_json([programs[-1], *words], threads)


def perdura(method, *words):
    """Resources of one run of ours. One learner thread, as is the default."""
    with tempfile.TemporaryDirectory() as out:
        line = [ROOT / "target/release/perdura", "run", method, *words, "--out", out, "--format", "json"]
        done = subprocess.run(line, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env={**os.environ, **ALLOCATOR})
        if done.returncode != 0:
            sys.exit(f"{line}: exit code {done.returncode}\n{done.stderr}")
        found = json.loads(done.stdout)
        view = found["summary"]["views"][0]["scenarios"][0]
        return {**found["resources"], "class_il": 100 * view["metrics"]["average_accuracy"]}


def er(_):
    """Training iterations of `er` a second, online, batch 10 + 10, one thread each."""
    def ours(tier):
        def measure():
            stream = ("--benchmark", "split-mnist", "--memory", "200", "--online")
            found = perdura("er", *stream, "--isolation", tier)
            # Start-up, data and evaluation are in the CPU time, not in the rate of the loop.
            steps = 5998
            return statistics.median(found["steps_per_second"]), steps / found["cpu_seconds"]
        return measure

    def avalanche():
        found = peer("avalanche_replay.py", threads=1)
        return found["iterations_per_second"], found["iterations_per_cpu_second"]

    def eager():
        found = peer("step.py", "er", "mlp", "--steps", "2000", threads=1)
        return 1 / found["median_s"], 1 / found["cpu_s"]

    def floor(key):
        return lambda: (1e6 / ratios("mlp", "20", threads=1)[key], None)

    return {
        "Avalanche, Replay": avalanche,
        "perdura, host and sandbox included": ours("sandbox"),
        "perdura, host included, in process": ours("in-process"),
        "PyTorch eager, the step alone": eager,
        "perdura-nn, the step alone": floor("step_us"),
        "burn's matrix products of a step alone": floor("matmul_us"),
    }


def cls_er(_):
    """Seconds of `cls-er` on split-mnist, memory 200, evaluation included, one thread each."""
    def ours():
        found = perdura("cls-er", "--benchmark", "split-mnist", "--memory", "200")
        return found["seconds"], found["cpu_seconds"]

    def eager():
        found = peer("run_mnist.py", "cls-er", threads=1)
        return found["seconds"], found["cpu_seconds"]

    return {"PyTorch eager, lean loop": eager, "perdura": ours}


def resnet18(threads):
    """Seconds of a step of `er` on ResNet-18, 64 wide, 64 images of 32x32."""
    def ours(device):
        def measure():
            found = ratios("resnet18", device, "64", "3", threads=threads)
            return found["median_s"], found["cpu_s"]
        return measure

    def theirs(*words):
        def measure():
            found = peer("step.py", "er", "resnet18", "--steps", "3", *words, threads=threads)
            return found["median_s"], found["cpu_s"]
        return measure

    return {
        "PyTorch eager f32": theirs(),
        "perdura-nn, libtorch": ours("libtorch"),
        "PyTorch eager f32, channels last": theirs("--channels-last"),
        "PyTorch autocast bf16": theirs("--bf16"),
        "PyTorch autocast bf16, channels last": theirs("--bf16", "--channels-last"),
        "perdura-nn, libtorch+bf16": ours("libtorch+bf16"),
        "perdura-nn, flex": ours("flex"),
    }


PARTS = {"er": er, "cls-er": cls_er, "resnet18": resnet18}


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("parts", nargs="*", choices=[*PARTS, []], default=list(PARTS))
    options.add_argument("--turns", type=int, default=5)
    options.add_argument("--threads", type=int, default=2, help="of both sides, for resnet18")
    options = options.parse_args()
    for name in options.parts:
        part = PARTS[name]
        measures = part(options.threads)
        found = {label: [] for label in measures}
        for _ in range(options.turns):
            for label, measure in measures.items():
                found[label].append(measure())
        by_wall, by_cpu = ({label: statistics.median([v[i] for v in values if v[i]] or [float("nan")])
                            for label, values in found.items()} for i in (0, 1))
        first = next(iter(found))
        print(f"\n{part.__doc__} {options.turns} turns, {options.threads} threads for resnet18.\n\n"
              "| | median by the clock | by the first | median by CPU time | by the first |\n|---|--:|--:|--:|--:|")
        for label in found:
            wall, cpu = by_wall[label], by_cpu[label]
            print(f"| {label} | {wall:.4g} | {wall / by_wall[first]:.3g} | {cpu:.4g} | {cpu / by_cpu[first]:.3g} |",
                  flush=True)
