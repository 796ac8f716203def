"""The networks, the methods and the data that the peers share, in plain PyTorch: `er`, `derpp`, `cls-er`, `si`
and `lwf` as their papers describe them, with the shapes, orders and defaults of Perdura's plugins. Nothing here is a
framework: loops are as lean as a person would write them who wants a fast run."""

import copy
import gzip
import os
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F
from torch import nn


def mlp(classes=10):
    """784-100-100-classes with ReLU; Xavier weights, zero biases."""
    layers = [nn.Linear(784, 100), nn.Linear(100, 100), nn.Linear(100, classes)]
    for layer in layers:
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut, each with batch normalisation."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x):
        inner = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(inner)) + self.shortcut(x))


class ResNet18(nn.Module):
    """The ResNet-18 of the continual-learning literature: a 3x3 stem of stride 1, no pooling before the head."""

    def __init__(self, width=64, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        blocks, inputs = [], width
        for times in (1, 2, 4, 8):
            outputs, stride = width * times, 1 if times == 1 else 2
            blocks += [Block(inputs, outputs, stride), Block(outputs, outputs, 1)]
            inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inputs, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        return self.head(self.blocks(x).mean((2, 3)))


class Er:
    """L = CE(f(X + X_m), Y + Y_m)."""

    replay, lr = 10, 0.01

    def __init__(self, network, autocast=False):
        self.network = network
        self.descent = torch.optim.SGD(network.parameters(), lr=self.lr)
        self.autocast = autocast
        self.scored = network

    def begin(self, x, y, old, seen):
        """Before an experience: all of its samples; the number of classes before it and with it."""

    def end(self):
        """After an experience."""

    def logits(self, network, x):
        with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
            return network(x).float()

    def descend(self, loss):
        self.descent.zero_grad()
        loss.backward()
        self.descent.step()

    def step(self, x, y, memory):
        if memory.filled:
            x_m, y_m, _ = memory.draw(self.replay)
            x, y = torch.cat((x, x_m)), torch.cat((y, y_m))
        self.descend(F.cross_entropy(self.logits(self.network, x), y))


class DerPp(Er):
    """L = CE(f(X), Y) + alpha*MSE(f(X_a), Z_a) + beta*CE(f(X_b), Y_b), two independent draws."""

    replay, lr, alpha, beta = 128, 0.03, 0.2, 1.0

    def step(self, x, y, memory):
        logits = self.logits(self.network, x)
        loss = F.cross_entropy(logits, y)
        if memory.filled:
            x_a, _, z_a = memory.draw(self.replay)
            loss = loss + self.alpha * F.mse_loss(self.logits(self.network, x_a), z_a)
            x_b, y_b, _ = memory.draw(self.replay)
            loss = loss + self.beta * F.cross_entropy(self.logits(self.network, x_b), y_b)
        memory.stored = logits.detach()
        self.descend(loss)


class ClsEr(Er):
    """L = CE(f(X + X_m), Y + Y_m) + lambda*MSE(f(X_m), Z), Z per sample of the teacher that is surer of the
    label; plastic and stable averages of the network follow it with probability r."""

    replay, lr, weight = 128, 0.03, 2.0
    averages = {"plastic": (1.0, 0.99), "stable": (0.9, 0.99)}

    def __init__(self, network, autocast=False):
        super().__init__(network, autocast)
        self.teachers = {name: copy.deepcopy(network).requires_grad_(False) for name in self.averages}
        self.scored = self.teachers["stable"]
        self.steps = 0

    def step(self, x, y, memory):
        if not memory.filled:
            self.descend(F.cross_entropy(self.logits(self.network, x), y))
        else:
            x_m, y_m, _ = memory.draw(self.replay)
            with torch.no_grad():
                plastic = self.logits(self.teachers["plastic"], x_m)
                stable = self.logits(self.teachers["stable"], x_m)
                sure = [z.softmax(1).gather(1, y_m[:, None]) for z in (plastic, stable)]
                target = torch.where(sure[1] > sure[0], stable, plastic)
            logits = self.logits(self.network, torch.cat((x, x_m)))
            consistency = F.mse_loss(logits[len(x):], target)
            self.descend(F.cross_entropy(logits, torch.cat((y, y_m))) + self.weight * consistency)
        self.steps += 1
        for name, (rate, alpha) in self.averages.items():
            if torch.rand(()) < rate:
                alpha = min(1 - 1 / (self.steps + 1), alpha)
                mine, theirs = self.teachers[name].parameters(), self.network.parameters()
                with torch.no_grad():
                    torch._foreach_lerp_(list(mine), list(theirs), 1 - alpha)


class Si(Er):
    """L = CE(f(X), Y) + c*sum(Omega*(theta - anchor)^2), each number of the gradient cut off at 1. As older releases
    of Mammoth have it, the way's worth is lr*gradient^2 with the penalty in the gradient."""

    lr, c, xi = 0.1, 1.0, 0.9

    def __init__(self, network, autocast=False):
        super().__init__(network, autocast)
        self.anchor = self.theta()
        self.path, self.importance = torch.zeros_like(self.anchor), torch.zeros_like(self.anchor)

    def theta(self):
        return nn.utils.parameters_to_vector(self.network.parameters()).detach().clone()

    def step(self, x, y, memory):
        self.descent.zero_grad()
        F.cross_entropy(self.logits(self.network, x), y).backward()
        gradient = torch.cat([p.grad.flatten() for p in self.network.parameters()])
        theta = self.theta()
        gradient = (gradient + 2 * self.c * self.importance * (theta - self.anchor)).clamp(-1, 1)
        nn.utils.vector_to_parameters(theta - self.lr * gradient, self.network.parameters())
        self.path += self.lr * gradient ** 2

    def end(self):
        theta = self.theta()
        self.importance += self.path / ((theta - self.anchor) ** 2 + self.xi)
        self.anchor, self.path = theta, torch.zeros_like(theta)


class Lwf(Er):
    """L = CE over the classes seen + alpha*CE of the answers of before, over the old classes, at temperature T +
    wd*|theta|^2. Before an experience the head's new rows are warmed up for an epoch and the answers recorded."""

    lr, alpha, temperature, weight_decay = 0.03, 1.0, 2.0, 0.0005

    def begin(self, x, y, old, seen):
        self.old, self.seen = old, seen
        if old == 0:
            return
        head = self.network[-1]
        with torch.no_grad():
            features = self.network[:-1](x)
        for at in torch.randperm(len(y)).split(10):
            self.descent.zero_grad()
            F.cross_entropy(head(features[at])[:, old:seen], y[at] - old).backward()
            with torch.no_grad():
                head.weight[old:seen] -= self.lr * head.weight.grad[old:seen]
                head.bias[old:seen] -= self.lr * head.bias.grad[old:seen]
        with torch.no_grad():
            self.answers = self.network(x)[:, :old]

    def step(self, x, y, memory):
        logits = self.logits(self.network, x)
        loss = F.cross_entropy(logits[:, :self.seen], y)
        if self.old:
            kept = (self.answers[self.at] / self.temperature).softmax(1)
            now = (logits[:, :self.old] / self.temperature).log_softmax(1)
            loss = loss - self.alpha * (kept * now).sum(1).mean()
        loss = loss + self.weight_decay * sum((p ** 2).sum() for p in self.network.parameters())
        self.descend(loss)


METHODS = {"er": Er, "derpp": DerPp, "cls-er": ClsEr, "si": Si, "lwf": Lwf}


class Memory:
    """A reservoir of inputs, labels and logits."""

    def __init__(self, capacity, shape, classes=10):
        self.x = torch.empty(capacity, *shape)
        self.y = torch.empty(capacity, dtype=torch.long)
        self.z = torch.empty(capacity, classes)
        self.filled = self.offered = 0
        self.stored = None

    def draw(self, count):
        slots = torch.randperm(self.filled)[:count]
        return self.x[slots], self.y[slots], self.z[slots]

    def offer(self, x, y):
        for i in range(len(y)):
            slot = self.offered if self.offered < len(self.y) else numpy.random.randint(self.offered + 1)
            self.offered += 1
            if slot < len(self.y):
                self.x[slot], self.y[slot] = x[i], y[i]
                if self.stored is not None:
                    self.z[slot] = self.stored[i]
                self.filled = min(self.offered, len(self.y))


def mnist(part):
    """Images in [0, 1] as rows, and labels, of `train` or `t10k`, from the published files below PERDURA_DATA."""
    folder = Path(os.environ["PERDURA_DATA"]) / "mnist"

    def numbers(name, header):
        with gzip.open(folder / f"{part}-{name}.gz") as file:
            return numpy.frombuffer(file.read(), numpy.uint8, offset=header)

    images = torch.tensor(numbers("images-idx3-ubyte", 16).reshape(-1, 784)).float() / 255
    return images, torch.tensor(numbers("labels-idx1-ubyte", 8)).long()


def split_mnist(method, capacity, batch=10, seed=0):
    """One epoch over 5 experiences of 2 classes, last smaller batches dropped, all classes scored after each
    experience as Perdura does. Answers with steps, and the final Class-IL and Task-IL accuracy."""
    torch.manual_seed(seed)
    numpy.random.seed(seed)
    (x, y), (x_test, y_test) = mnist("train"), mnist("t10k")
    memory = Memory(capacity, (784,))
    steps = 0
    for first in range(0, 10, 2):
        mine = torch.nonzero((y == first) | (y == first + 1))[:, 0]
        method.begin(x[mine], y[mine], first, first + 2)
        for at in torch.randperm(len(mine)).split(batch):
            if len(at) < batch:
                continue
            chosen, method.at = mine[at], at
            method.step(x[chosen], y[chosen], memory)
            memory.offer(x[chosen], y[chosen])
            steps += 1
        method.end()
        with torch.no_grad():
            networks = [method.network, *getattr(method, "teachers", {}).values()]
            for network in networks:
                network(x_test)
            logits = method.scored(x_test)
            own = torch.arange(10)[None] // 2 == y_test[:, None] // 2
            told = logits.masked_fill(~own, -torch.inf)
            class_il, task_il = (100 * (z.argmax(1) == y_test).float().mean().item() for z in (logits, told))
    return steps, class_il, task_il
