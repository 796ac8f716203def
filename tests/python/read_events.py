"""Reads the event files of a run with TensorBoard's own reader and holds them against its summary.

    pip install -r tests/python/requirements-tensorboard.txt
    perdura run er --memory 50 --tensorboard --out OUT
    python tests/python/read_events.py OUT
"""

import json
import math
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def check(folder):
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    summary = json.loads((folder / "summary.json").read_text())
    checked = 0
    for view in summary["views"]:
        for scores in view["scenarios"]:
            place = f"{scores['scenario']}/{view['view']}"
            curve = [(event.step, event.value) for event in events.Scalars(f"{place}/accuracy")]
            assert [step for step, _ in curve] == list(range(1, len(scores["matrix"]) + 1)), curve
            assert math.isclose(curve[-1][1], scores["metrics"]["average_accuracy"], rel_tol=1e-6)
            for index, row in enumerate(zip(*scores["matrix"])):
                values = [event.value for event in events.Scalars(f"{place}/experience-{index + 1}")]
                assert all(map(lambda a, b: math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9), values, row))
                checked += len(values)
    losses = events.Scalars("training/loss")
    assert losses and all(math.isfinite(event.value) for event in losses)
    return checked


folders = [path.parent for path in Path(sys.argv[1]).rglob("tensorboard")]
assert folders, "no event files"
print(f"{len(folders)} runs, {sum(map(check, folders))} accuracies as in their summaries")
