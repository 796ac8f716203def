"""Starts a real MLflow server on loopback, has runs told to it, and holds what it knows against their
summaries. The server ends with this program, whatever happens.

    pip install -r tests/python/requirements-mlflow.txt
    python tests/python/read_mlflow.py target/release/perdura OUT
"""

import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

START_SECONDS_MAX = 120
RUN_SECONDS_MAX = 300


@contextmanager
def server(folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    words = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    words += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    words += ["--artifacts-destination", str(folder / "artifacts")]
    # Nothing but the tracking server, and no word to anybody.
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with open(folder / "server.log", "wb") as log:
        process = subprocess.Popen(
            words, stdout=log, stderr=log, env=os.environ | quiet, start_new_session=True
        )
    try:
        wait_for(uri, process, folder / "server.log")
        yield uri
    finally:
        stop(process)


def wait_for(uri, process, log):
    until = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{uri}/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.5)
    raise SystemExit(f"the server did not start:\n{log.read_text()}")


def stop(process):
    """Ends the server and all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            continue


def perdura(program, words, code):
    answer = subprocess.run(
        [program, *words], capture_output=True, text=True, timeout=RUN_SECONDS_MAX
    )
    assert answer.returncode == code, f"{words}: {answer.returncode}\n{answer.stderr}"
    assert "MLflow" not in answer.stderr, answer.stderr


def check(client, folder, status):
    """What the server knows of the run in a folder. Returns how many values were compared."""
    plan, summary = (json.loads((folder / name).read_text()) for name in ("plan.json", "summary.json"))
    experiment = client.get_experiment_by_name(f"perdura/{plan['benchmark']}")
    found = client.search_runs(
        [experiment.experiment_id], filter_string=f"tags.`perdura.folder` = '{folder}'"
    )
    assert len(found) == 1, found
    run = found[0]
    assert run.info.status == status, run.info
    assert run.info.end_time >= run.info.start_time
    tags, params = run.data.tags, run.data.params
    assert tags["perdura.plugin_sha256"] == plan["plugin"]["sha256"]
    assert tags["perdura.seed"] == str(plan["seed"])
    assert tags.get("perdura.commit") == plan["host"]["commit"]
    assert params["method"] == plan["method"] and params["stream.epochs"] == str(plan["stream"]["epochs"])
    for name, value in plan["config"].items():
        known = params[f"config.{name}"]
        assert known == value or json.loads(known) == value, (name, known, value)
    if status != "FINISHED":
        assert "perdura.fault" in tags
        return 0
    history = lambda key: sorted((m.step, m.value) for m in client.get_metric_history(run.info.run_id, key))
    checked = 0
    for view in summary["views"]:
        for scores in view["scenarios"]:
            place = f"{scores['scenario']}/{view['view']}"
            final = run.data.metrics[f"final/{place}/average_accuracy"]
            assert final == scores["metrics"]["average_accuracy"]
            curve = history(f"{place}/accuracy")
            rows = [row for row in scores["matrix"] if any(value is not None for value in row)]
            assert len(curve) == len(rows) and curve[-1] == (summary["steps"], final), curve
            for index, column in enumerate(zip(*scores["matrix"])):
                told = [value for step, value in history(f"{place}/experience-{index + 1}") if step > 0]
                assert told == [value for value in column if value is not None], (place, index)
                checked += len(told)
    losses = history("training/loss")
    assert [step for step, _ in losses] == list(range(50, summary["steps"] + 1, 50)), losses
    assert all(math.isfinite(value) for _, value in losses)
    assert run.data.metrics["final/seconds"] > 0 and run.data.metrics["steps_per_second"] > 0
    return checked


def main(program, out):
    from mlflow.tracking import MlflowClient

    out.mkdir(parents=True, exist_ok=True)
    out = out.resolve()
    with server(out) as uri:
        track = ["--mlflow", uri, "--log-every", "50"]
        good = ["compare", "--methods", "er,joint", "--memory", "50", "--seeds", "0..2"]
        perdura(program, [*good, *track, "--out", str(out / "good")], 0)
        # No learner is as fast as that.
        bad = ["run", "sgd", "--step-deadline", "0.000001", *track, "--out", str(out / "bad")]
        perdura(program, bad, 1)
        client = MlflowClient(tracking_uri=uri)
        folders = lambda name: [path.parent for path in (out / name).rglob("plan.json")]
        checked = [check(client, folder, "FINISHED") for folder in folders("good")]
        failed = [check(client, folder, "FAILED") for folder in folders("bad")]
        assert len(checked) == 4 and len(failed) == 1
    print(f"{len(checked)} runs and a failed one, {sum(checked)} accuracies as in their summaries")


main(os.path.abspath(sys.argv[1]), Path(sys.argv[2]))
