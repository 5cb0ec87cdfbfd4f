"""Classifier heads over embeddings, and one `fit` that trains many seeds at once.

The heads of all seeds are one model whose weights have a leading dimension of seeds, so one
matrix product serves them all. Each seed has its own texts, starting weights, order of
batches and dropout, all drawn from its own generator: a seed trained alone and the same
seed trained among others agree within float tolerance.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional
from tqdm.auto import tqdm


@dataclass(frozen=True)
class Head:
    """A classifier over embeddings: `depth` hidden ReLU layers of `width` units; depth 0 is linear."""

    width: int = 256
    depth: int = 1
    dropout: float = 0.0

    def __post_init__(self):
        if self.width < 1 or self.depth < 0:
            raise ValueError(f"width must be at least 1 and depth at least 0, got {self.width} and {self.depth}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout}")


@dataclass(frozen=True)
class History:
    """Curves of a fit: float arrays (seeds, epochs), measured after each epoch with dropout off."""

    train_loss: np.ndarray
    train_accuracy: np.ndarray
    held_out_loss: np.ndarray
    held_out_accuracy: np.ndarray


class Fit:
    """Trained heads of several seeds: `history`, and `probabilities` of new texts."""

    def __init__(self, head, seeds, layers, history):
        self.head, self.seeds, self.layers, self.history = head, tuple(seeds), layers, history

    def probabilities(self, vectors):
        """Class probabilities: float32 array (seeds, texts, classes) from vectors (texts, dimensions)."""
        x = torch.as_tensor(vectors).expand(len(self.seeds), -1, -1)
        with torch.no_grad():
            return torch.softmax(_forward(self.layers, x), dim=2).numpy()


def draw_training_sets(vectors, labels, size, seeds, groups=None):
    """For each seed, `size` texts to train on, drawn at random: (x, y) of shapes (seeds, size, ...).

    groups: if given, whole groups are drawn one after another until `size` texts are reached.
    Raises ValueError if there are fewer than `size` texts.
    """
    if not 1 <= size <= len(labels):
        raise ValueError(f"size must be from 1 to {len(labels)}, the texts there are; got {size}")
    chosen = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        if groups is None:
            chosen.append(rng.permutation(len(labels))[:size])
        else:
            rank = {group: r for r, group in enumerate(rng.permutation(sorted(set(groups))))}
            chosen.append(np.array(sorted(range(len(labels)), key=lambda i: rank[groups[i]]))[:size])
    chosen = np.stack(chosen)
    return np.asarray(vectors)[chosen], np.asarray(labels)[chosen]


def fit(
    head, train, held_out, classes, seeds, epochs=100, batch_size=32, learning_rate=1e-3, weight_decay=0.0, progress=False
):
    """Train a head for every seed at once, with AdamW. Returns a `Fit`.

    train: (x, y), float (seeds, texts, dimensions) and int (seeds, texts). held_out: (x, y)
    of shapes (texts, dimensions) and (texts,), the same for all seeds, only ever measured.
    classes: how many. weight_decay: decoupled, times the learning rate (Loshchilov & Hutter 2019).
    Raises ValueError for labels out of range, shapes that do not fit and rates below 0.
    """
    x, y = torch.as_tensor(train[0], dtype=torch.float32), torch.as_tensor(train[1], dtype=torch.long)
    held_x, held_y = torch.as_tensor(held_out[0], dtype=torch.float32), torch.as_tensor(held_out[1], dtype=torch.long)
    _check(x, y, held_x, held_y, classes, seeds, learning_rate, weight_decay)
    generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
    layers = _layers(head, x.shape[2], classes, generators)
    parameters = [tensor for layer in layers for tensor in layer]
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=weight_decay, fused=True)
    history = [[] for _ in range(4)]
    held_x, held_y = held_x.expand(len(seeds), -1, -1), held_y.expand(len(seeds), -1)
    for _ in tqdm(range(epochs), "training", unit="epoch", disable=not progress, leave=False):
        order = torch.stack([torch.randperm(x.shape[1], generator=generator) for generator in generators])
        for batch in order.split(batch_size, dim=1):
            rows = torch.arange(len(seeds))[:, None]
            loss = _losses(_forward(layers, x[rows, batch], head.dropout, generators), y[rows, batch]).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        for curve, value in zip(history, (*_scores(layers, x, y), *_scores(layers, held_x, held_y)), strict=True):
            curve.append(value)
    layers = [(weight.detach(), bias.detach()) for weight, bias in layers]
    return Fit(head, seeds, layers, History(*(np.stack(curve, axis=1) for curve in history)))


def _layers(head, inputs, classes, generators):
    "Weights (seeds, inputs, outputs) and biases (seeds, 1, outputs), uniform as torch.nn.Linear draws them."
    sizes = [inputs] + [head.width] * head.depth + [classes]
    layers = []
    for fan_in, fan_out in zip(sizes, sizes[1:], strict=False):
        bound = 1 / math.sqrt(fan_in)
        for shape in ((fan_in, fan_out), (1, fan_out)):
            drawn = torch.stack([torch.rand(shape, generator=generator) for generator in generators])
            layers.append(((2 * drawn - 1) * bound).requires_grad_())
    return list(zip(layers[::2], layers[1::2], strict=True))


def _forward(layers, x, dropout=0.0, generators=None):
    "Logits (seeds, texts, classes)."
    for weight, bias in layers[:-1]:
        x = torch.relu(torch.baddbmm(bias, x, weight))
        if dropout:
            kept = torch.stack([torch.rand(x.shape[1:], generator=generator) for generator in generators]) >= dropout
            x = x * kept / (1 - dropout)
    return torch.baddbmm(layers[-1][1], x, layers[-1][0])


def _losses(logits, y):
    "Mean cross-entropy of each seed, in nats: (seeds,)."
    return functional.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none").view(y.shape).mean(dim=1)


def _scores(layers, x, y):
    "(loss, accuracy) of each seed, dropout off."
    with torch.no_grad():
        logits = _forward(layers, x)
        return _losses(logits, y).numpy(), (logits.argmax(dim=2) == y).float().mean(dim=1).numpy()


def _check(x, y, held_x, held_y, classes, seeds, learning_rate, weight_decay):
    if x.ndim != 3 or x.shape[:2] != y.shape or len(x) != len(seeds) or x.shape[1] == 0:
        raise ValueError(
            f"train must be x (seeds, texts, dimensions) and y (seeds, texts) for {len(seeds)} seeds; "
            f"got {tuple(x.shape)} and {tuple(y.shape)}"
        )
    if held_x.ndim != 2 or len(held_x) != len(held_y) or held_x.shape[1] != x.shape[2]:
        raise ValueError(
            f"held_out must be x (texts, {x.shape[2]}) and y (texts,); got {tuple(held_x.shape)} and {tuple(held_y.shape)}"
        )
    for name, labels in (("train", y), ("held_out", held_y)):
        if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise ValueError(f"labels of {name} must be from 0 to {classes - 1}; got {labels.min()} to {labels.max()}")
    if not torch.isfinite(x).all():
        raise ValueError("train contains vectors that are not finite")
    if learning_rate <= 0 or weight_decay < 0:
        raise ValueError(f"learning_rate must be above 0 and weight_decay at least 0, got {learning_rate}, {weight_decay}")
