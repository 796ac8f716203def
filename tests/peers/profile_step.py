"""Operators of a training step of `er` on ResNet-18 by PyTorch's profiler: calls and time by themselves.

    python tests/peers/profile_step.py --threads 1 [--bf16]
"""

import argparse

import torch
from torch.profiler import ProfilerActivity, profile

from peer import Er, Memory, ResNet18

if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--width", type=int, default=64)
    options.add_argument("--bf16", action="store_true")
    options = options.parse_args()
    torch.set_num_threads(options.threads)
    learner = Er(ResNet18(options.width), autocast=options.bf16)
    x, y = torch.rand(64, 3, 32, 32), torch.arange(64) % 10
    nothing = Memory(1, (3, 32, 32))
    learner.step(x, y, nothing)
    with profile(activities=[ProfilerActivity.CPU]) as found:
        learner.step(x, y, nothing)
    averages = found.key_averages()
    print(averages.table(sort_by="self_cpu_time_total", row_limit=15, max_name_column_width=40))
    print("operators:", sum(of.count for of in averages if of.key.startswith("aten::")))
