"""Avalanche's Replay on SplitMNIST, one epoch, batch 10 and 10 of the memory: training iterations per second.

    PERDURA_DATA=DIR python tests/peers/avalanche_replay.py --threads 1
"""

import argparse
import gzip
import json
import os
import shutil
import tempfile
import time
import warnings
from pathlib import Path

import torch

warnings.filterwarnings("ignore")

from avalanche.benchmarks.classic import SplitMNIST  # noqa: E402
from avalanche.models import SimpleMLP  # noqa: E402
from avalanche.training import Replay  # noqa: E402
from avalanche.training.plugins import EvaluationPlugin, SupervisedPlugin  # noqa: E402


class Counter(SupervisedPlugin):
    """Counts iterations and the time of the loops over batches, without evaluation and set-up."""

    def __init__(self):
        super().__init__()
        self.iterations, self.seconds, self.cpu_seconds = 0, 0.0, 0.0

    def before_training_epoch(self, *_, **__):
        self.began, self.cpu_began = time.perf_counter(), time.process_time()

    def after_training_iteration(self, *_, **__):
        self.iterations += 1

    def after_training_epoch(self, *_, **__):
        self.seconds += time.perf_counter() - self.began
        self.cpu_seconds += time.process_time() - self.cpu_began


def mnist_for_torchvision(folder):
    raw = Path(folder) / "MNIST/raw"
    raw.mkdir(parents=True)
    for file in (Path(os.environ["PERDURA_DATA"]) / "mnist").glob("*.gz"):
        with gzip.open(file) as packed, open(raw / file.stem, "wb") as plain:
            shutil.copyfileobj(packed, plain)


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--memory", type=int, default=200)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--experiences", type=int, default=5)
    options = options.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        mnist_for_torchvision(folder)
        benchmark = SplitMNIST(n_experiences=5, dataset_root=folder, seed=0, fixed_class_order=list(range(10)))
        network = SimpleMLP(num_classes=10, input_size=784, hidden_size=100, hidden_layers=2, drop_rate=0.0)
        counter = Counter()
        strategy = Replay(
            model=network, optimizer=torch.optim.SGD(network.parameters(), lr=0.01),
            criterion=torch.nn.CrossEntropyLoss(), mem_size=options.memory,
            train_mb_size=10, train_epochs=1, eval_mb_size=1000, plugins=[counter],
            evaluator=EvaluationPlugin(loggers=[]))
        for experience in list(benchmark.train_stream)[:options.experiences]:
            strategy.train(experience)
        right = 0
        for experience in benchmark.test_stream:
            for x, y, _ in torch.utils.data.DataLoader(experience.dataset, batch_size=1000):
                right += (network.eval()(x).argmax(1) == y).sum().item()
    print(json.dumps({"iterations": counter.iterations, "seconds": counter.seconds,
                      "iterations_per_second": counter.iterations / counter.seconds,
                      "iterations_per_cpu_second": counter.iterations / counter.cpu_seconds,
                      "class_il": 100 * right / 10_000}))
