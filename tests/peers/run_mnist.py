"""A whole run of a method on split-mnist in plain PyTorch: seconds, CPU seconds, steps per second, accuracy.

    PERDURA_DATA=DIR OMP_NUM_THREADS=1 python tests/peers/run_mnist.py cls-er --memory 200
"""

import argparse
import json
import time

import torch

from peer import METHODS, mlp, split_mnist

if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("method", choices=METHODS)
    options.add_argument("--memory", type=int, default=200)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--seed", type=int, default=0)
    options = options.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    wall, cpu = time.perf_counter(), time.process_time()
    method = METHODS[options.method](mlp())
    steps, class_il, task_il = split_mnist(method, options.memory, seed=options.seed)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"seconds": wall, "cpu_seconds": cpu, "steps": steps, "steps_per_second": steps / wall,
                      "class_il": class_il, "task_il": task_il}))
