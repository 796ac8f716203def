"""Seconds of training steps on made-up images or rows, in plain PyTorch.

    python tests/peers/step.py er resnet18 --threads 2                    # f32, batch 32 + 32 images of 32x32
    python tests/peers/step.py er resnet18 --threads 2 --bf16             # autocast
    python tests/peers/step.py er resnet18 --threads 2 --channels-last
    python tests/peers/step.py cls-er mlp --threads 1                     # batch 10 + 128 rows of 784
"""

import argparse
import json
import statistics
import time

import torch

from peer import METHODS, Memory, ResNet18, mlp


def steps(options):
    """Seconds of every step, and CPU seconds of all threads per step."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    method = METHODS[options.method]
    if options.network == "mlp":
        network, shape, batch, replay = mlp(), (784,), 10, method.replay
    else:
        network, shape, batch, replay = ResNet18(options.width), (3, 32, 32), 32, 32
    method.replay = replay
    x, y = torch.rand(batch, *shape), torch.arange(batch) % 10
    memory = Memory(200, shape)
    memory.offer(torch.rand(200, *shape), torch.arange(200) % 10)
    if options.channels_last:
        network = network.to(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)
        memory.x = memory.x.contiguous(memory_format=torch.channels_last)
    learner = method(network, autocast=options.bf16)
    took = []
    learner.step(x, y, memory)
    cpu = time.process_time()
    for _ in range(options.steps):
        began = time.perf_counter()
        learner.step(x, y, memory)
        took.append(time.perf_counter() - began)
    return took, (time.process_time() - cpu) / options.steps


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("method", choices=METHODS)
    options.add_argument("network", choices=["mlp", "resnet18"])
    options.add_argument("--width", type=int, default=64)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--steps", type=int, default=5)
    options.add_argument("--bf16", action="store_true")
    options.add_argument("--channels-last", action="store_true")
    took, cpu = steps(options.parse_args())
    print(json.dumps({"median_s": statistics.median(took), "fastest_s": min(took), "cpu_s": cpu,
                      "steps": len(took)}))
