"""Classifier heads over embeddings, and one `fit` that trains many runs at once.

A run is a seed with its settings. The heads of all runs are one model whose weights have a
leading dimension of runs, so one matrix product serves them all. Each run has its own texts,
starting weights, order of batches and dropout, drawn from its own generator: a run trained
alone and the same run trained among others agree within float tolerance.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch.nn import functional
from tqdm.auto import tqdm

OPTIMIZERS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}


@dataclass(frozen=True)
class Head:
    """A classifier over embeddings: `depth` hidden ReLU layers of `width` units; depth 0 is linear."""

    width: int = 256
    depth: int = 1

    def __post_init__(self):
        if self.width < 1 or self.depth < 0:
            raise ValueError(f"width must be at least 1 and depth at least 0, got {self.width} and {self.depth}")


class EarlyStopper:
    """Says when a loss has stopped improving, and which epoch was best.

    patience: how many checks in a row may pass without a new best. min_delta: by how much a
    loss must fall to count as better; relative: as a share of the best so far. restore_best:
    should the weights of the best epoch be put back? Call `step(loss)` after each epoch.

    A loss that is not a number stops at once, with that reason.
    Source: Prechelt 1998, Early Stopping, But When?
    """

    def __init__(self, patience=5, min_delta=0.0, relative=False, restore_best=True):
        if patience < 1 or min_delta < 0:
            raise ValueError(f"patience must be at least 1 and min_delta at least 0, got {patience} and {min_delta}")
        self.patience, self.min_delta, self.relative, self.restore_best = patience, min_delta, relative, restore_best
        self.best, self.best_epoch, self.epoch, self.reason = math.inf, None, -1, None

    def fresh(self):
        """Another stopper with the same settings, that has seen nothing yet."""
        return EarlyStopper(self.patience, self.min_delta, self.relative, self.restore_best)

    def step(self, loss):
        """Take the next epoch's loss. True once training should stop; `reason` says why."""
        self.epoch += 1
        if math.isnan(loss):
            self.reason = f"the loss of epoch {self.epoch} is not a number"
            return True
        needed = self.min_delta * (abs(self.best) if self.relative else 1) if self.best < math.inf else 0.0
        if loss < self.best - needed or self.best_epoch is None:
            self.best, self.best_epoch = loss, self.epoch
        elif self.epoch - self.best_epoch >= self.patience:
            self.reason = f"no improvement since epoch {self.best_epoch}"
            return True
        return False


@dataclass(frozen=True)
class History:
    """Curves of a fit: float arrays (runs, epochs), measured after each epoch with dropout off."""

    train_loss: np.ndarray
    train_accuracy: np.ndarray
    held_out_loss: np.ndarray
    held_out_accuracy: np.ndarray


class Fit:
    """Trained heads: `history`, the epoch whose weights each run has, why it stopped, `probabilities`."""

    def __init__(self, seeds, layers, history, epochs, reasons):
        self.seeds, self.layers, self.history = tuple(seeds), layers, history
        self.epochs, self.reasons = np.array(epochs), tuple(reasons)

    def probabilities(self, vectors):
        """Class probabilities: float32 (runs, texts, classes) from vectors (texts, dimensions), dropout off."""
        x = torch.as_tensor(vectors, dtype=torch.float32).expand(len(self.seeds), -1, -1)
        with torch.no_grad():
            return torch.softmax(_forward(self.layers, x), dim=2).numpy()


def draw_training_sets(vectors, labels, size, seeds, noise=0.0):
    """For each seed, `size` texts to train on, drawn at random: (x, y) of shapes (seeds, size, ...).

    noise: share of labels replaced by another class, drawn with the same seed.
    Raises ValueError if there are fewer than `size` texts, or noise is outside [0, 1].
    """
    vectors, labels = np.asarray(vectors), np.asarray(labels)
    if not 1 <= size <= len(labels):
        raise ValueError(f"size must be from 1 to {len(labels)}, the texts there are; got {size}")
    if not 0 <= noise <= 1:
        raise ValueError(f"noise must be a share from 0 to 1, got {noise}")
    classes, sets = int(labels.max()) + 1, []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        chosen = rng.permutation(len(labels))[:size]
        y = labels[chosen].copy()
        wrong = rng.permutation(size)[: round(noise * size)]
        y[wrong] = (y[wrong] + rng.integers(1, classes, len(wrong))) % classes
        sets.append((vectors[chosen], y))
    return np.stack([x for x, _ in sets]), np.stack([y for _, y in sets])


def fit(
    head,
    train,
    held_out,
    classes,
    seeds,
    epochs=100,
    batch_size=32,
    optimizer="adamw",
    learning_rate=1e-3,
    weight_decay=0.0,
    l1=0.0,
    dropout=0.0,
    label_smoothing=0.0,
    early_stopping=None,
    progress=False,
):
    """Train a head for every run at once. Returns a `Fit`.

    train: (x, y), float (runs, texts, dimensions) and int (runs, texts). held_out: (x, y) of
    shapes (texts, dimensions) and (texts,), the same for all runs; measured after each epoch,
    and what `early_stopping` (an `EarlyStopper`) looks at. classes: how many. seeds: one a run.
    optimizer: "adamw" (weight_decay decoupled, Loshchilov & Hutter 2019), "adam" or "sgd"
    (weight_decay as an L2 gradient).
    learning_rate, weight_decay, l1, dropout, label_smoothing: a number, or one a run.
    l1: λ of λ Σ|w| over weights, not biases, added to the mean loss.
    Raises ValueError for labels out of range, a single class, rates below 0 or dropout ≥ 1.
    """
    x, y = torch.as_tensor(train[0], dtype=torch.float32), torch.as_tensor(train[1], dtype=torch.long)
    held_x, held_y = torch.as_tensor(held_out[0], dtype=torch.float32), torch.as_tensor(held_out[1], dtype=torch.long)
    _check(x, y, held_x, held_y, classes, seeds)
    runs = len(seeds)
    rates = {"learning_rate": learning_rate, "weight_decay": weight_decay, "l1": l1, "dropout": dropout}
    rates = {name: _per_run(name, rate, runs) for name, rate in (rates | {"label_smoothing": label_smoothing}).items()}
    generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
    layers = _layers(head, x.shape[2], classes, generators)
    step = _stepper(optimizer, layers, rates)
    keep = 1 - torch.tensor(rates["dropout"], dtype=torch.float32)[:, None, None]
    smoothing = torch.tensor(rates["label_smoothing"], dtype=torch.float32)[:, None]
    l1_rates = torch.tensor(rates["l1"], dtype=torch.float32)
    stoppers = [early_stopping.fresh() for _ in seeds] if early_stopping else []
    kept, last, active = _copied(layers), np.full(runs, epochs - 1), np.ones(runs, bool)
    curves = [[], [], [], []]
    rows = torch.arange(runs)[:, None]
    for epoch in tqdm(range(epochs), "training", unit="epoch", disable=not progress, leave=False):
        order = torch.stack([torch.randperm(x.shape[1], generator=generator) for generator in generators])
        for batch in order.split(batch_size, dim=1):
            logits = _forward(layers, x[rows, batch], keep, generators)
            loss = _losses(logits, y[rows, batch], smoothing).sum()
            if l1_rates.any():
                loss = loss + sum((l1_rates * weight.abs().sum(dim=(1, 2))).sum() for weight, _ in layers)
            loss.backward()
            step()
        for curve, value in zip(curves, (*_scores(layers, x, y), *_scores(layers, held_x, held_y)), strict=True):
            curve.append(value)
        for run in np.flatnonzero(active) if stoppers else ():
            stop, stopper = stoppers[run].step(float(curves[2][-1][run])), stoppers[run]
            if not stopper.restore_best or stopper.best_epoch == epoch:
                _copy_run(layers, kept, run)
                last[run] = epoch
            active[run] = not stop
        if stoppers and not active.any():
            break
    final = kept if stoppers else _copied(layers)
    reasons = [s.reason or "all epochs run" for s in stoppers] or ["all epochs run"] * runs
    return Fit(seeds, final, History(*(np.stack(curve, axis=1) for curve in curves)), last, reasons)


def _layers(head, inputs, classes, generators):
    "Weights (runs, inputs, outputs) and biases (runs, 1, outputs), uniform as torch.nn.Linear draws them."
    sizes = [inputs] + [head.width] * head.depth + [classes]
    tensors = []
    for fan_in, fan_out in pairwise(sizes):
        bound = 1 / math.sqrt(fan_in)
        for shape in ((fan_in, fan_out), (1, fan_out)):
            drawn = torch.stack([torch.rand(shape, generator=generator) for generator in generators])
            tensors.append(((2 * drawn - 1) * bound).requires_grad_())
    return list(zip(tensors[::2], tensors[1::2]))


def _stepper(optimizer, layers, rates):
    """A function that takes one optimizer step and clears the gradients.

    Runs with different rates need different parameter groups. Each run's slice of a stacked
    tensor is handed to torch's optimizer as a parameter of its own, which shares its memory.
    """
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}; got {optimizer!r}")
    stacked = [tensor for layer in layers for tensor in layer]
    pairs = list(zip(rates["learning_rate"], rates["weight_decay"]))
    if len(set(pairs)) == 1:
        made = OPTIMIZERS[optimizer](stacked, lr=pairs[0][0], weight_decay=pairs[0][1], fused=True)

        def step():
            made.step()
            made.zero_grad()

        return step
    slices = [[tensor.detach()[run] for tensor in stacked] for run in range(len(pairs))]
    groups = [{"params": own, "lr": lr, "weight_decay": decay} for own, (lr, decay) in zip(slices, pairs)]
    made = OPTIMIZERS[optimizer](groups, lr=1e-3, fused=True)

    def step_groups():
        for run, own in enumerate(slices):
            for tensor, whole in zip(own, stacked):
                tensor.grad = whole.grad[run]
        made.step()
        for whole in stacked:
            whole.grad = None

    return step_groups


def _forward(layers, x, keep=None, generators=None):
    "Logits (runs, texts, classes). keep: probability that a hidden unit stays, (runs, 1, 1); None outside training."
    for weight, bias in layers[:-1]:
        x = torch.relu(torch.baddbmm(bias, x, weight))
        if keep is not None and (keep < 1).any():
            x = x * _dropout_mask(x.shape[1:], keep, generators) / keep
    return torch.baddbmm(layers[-1][1], x, layers[-1][0])


def _dropout_mask(shape, keep, generators):
    "Which units stay; a run without dropout draws nothing, as it would alone."
    return torch.stack([
        torch.rand(shape, generator=generator) < share if share < 1 else torch.ones(shape, dtype=torch.bool)
        for generator, share in zip(generators, keep[:, 0, 0])
    ])  # fmt: skip


def _losses(logits, y, smoothing=None):
    "Mean cross-entropy of each run, in nats: (runs,)."
    log_p = functional.log_softmax(logits, dim=2)
    loss = -log_p.gather(2, y[:, :, None])[:, :, 0]
    if smoothing is not None and smoothing.any():
        loss = (1 - smoothing) * loss - smoothing * log_p.mean(dim=2)
    return loss.mean(dim=1)


def _scores(layers, x, y):
    "(loss, accuracy) of each run, dropout off."
    runs = len(layers[0][0])
    x, y = (x, y) if x.ndim == 3 else (x.expand(runs, -1, -1), y.expand(runs, -1))
    with torch.no_grad():
        logits = _forward(layers, x)
        return _losses(logits, y).numpy(), (logits.argmax(dim=2) == y).float().mean(dim=1).numpy()


def _copied(layers):
    return [(weight.detach().clone(), bias.detach().clone()) for weight, bias in layers]


def _copy_run(source, target, run):
    for own, others in zip(source, target):
        for tensor, copy in zip(own, others):
            copy[run] = tensor.detach()[run]


def _per_run(name, rate, runs):
    "One rate a run, checked."
    rates = np.broadcast_to(np.asarray(rate, dtype=float), (runs,)) if np.ndim(rate) == 0 else np.asarray(rate, float)
    if rates.shape != (runs,):
        raise ValueError(f"{name} must be a number or one for each of {runs} runs, got shape {rates.shape}")
    limit = 1 if name in ("dropout", "label_smoothing") else math.inf
    if not ((rates >= 0) & (rates < limit)).all() or (name == "learning_rate" and not (rates > 0).all()):
        least = "above 0" if name == "learning_rate" else "at least 0"
        below = " and below 1" if limit == 1 else ""
        raise ValueError(f"{name} must be {least}{below}, got {rate}")
    return rates.tolist()


def _check(x, y, held_x, held_y, classes, seeds):
    if x.ndim != 3 or x.shape[:2] != y.shape or len(x) != len(seeds) or x.shape[1] == 0:
        raise ValueError(
            f"train must be x (runs, texts, dimensions) and y (runs, texts) for {len(seeds)} seeds; "
            f"got {tuple(x.shape)} and {tuple(y.shape)}"
        )
    if held_x.ndim != 2 or len(held_x) != len(held_y) or held_x.shape[1] != x.shape[2]:
        raise ValueError(
            f"held_out must be x (texts, {x.shape[2]}) and y (texts,); "
            f"got {tuple(held_x.shape)} and {tuple(held_y.shape)}"
        )
    if classes < 2:
        raise ValueError(f"classes must be at least 2, got {classes}: with one class there is nothing to learn")
    for name, labels in (("train", y), ("held_out", held_y)):
        if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise ValueError(f"labels of {name} must be from 0 to {classes - 1}; got {labels.min()} to {labels.max()}")
    if y.numel() and int(y.min()) == int(y.max()):
        raise ValueError(f"all labels of train are {int(y.min())}: a classifier needs at least two classes to learn")
    for name, vectors in (("train", x), ("held_out", held_x)):
        if not torch.isfinite(vectors).all():
            raise ValueError(f"{name} contains vectors that are not finite")
