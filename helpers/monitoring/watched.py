"""A plain training loop in torch, as one writes it, that a monitor can watch."""

import subprocess
import sys
import time

import psutil
import torch
from torch.nn import functional


def train_watched(train, validation, classes, epochs=30, dropout=0.5, learning_rate=2e-3, batch_size=15, seed=0):
    """Train a head of 128 hidden units and yield an epoch's metrics at a time: what `log_epoch` takes.

    train, validation: (x, y), float (texts, dimensions) and int (texts,). `train_acc` is measured after
    the epoch with dropout off; `running_acc` is what many loops log instead: the mean over the epoch's
    batches, dropout on, while the weights still change. `inference_time` is in seconds for all of
    validation, `memory_usage` the process's resident bytes.
    """
    generator = torch.Generator().manual_seed(seed)
    (x, y), (val_x, val_y) = (tuple(map(torch.as_tensor, part)) for part in (train, validation))
    with torch.random.fork_rng():  # dropout and starting weights draw from torch's global generator
        torch.manual_seed(seed)
        net = torch.nn.Sequential(
            torch.nn.Linear(x.shape[1], 128), torch.nn.ReLU(), torch.nn.Dropout(dropout), torch.nn.Linear(128, classes)
        )
    optimizer = torch.optim.AdamW(net.parameters(), lr=learning_rate, weight_decay=0.0)
    for epoch in range(epochs):
        net.train()
        right = 0
        with torch.random.fork_rng():
            torch.manual_seed(seed + 1000 * (epoch + 1))
            for batch in torch.randperm(len(x), generator=generator).split(batch_size):
                optimizer.zero_grad()
                logits = net(x[batch])
                functional.cross_entropy(logits, y[batch]).backward()
                optimizer.step()
                right += int((logits.argmax(dim=1) == y[batch]).sum())
        net.eval()
        train_loss, train_acc = _score(net, x, y)
        start = time.perf_counter()
        val_loss, val_acc = _score(net, val_x, val_y)
        yield {
            "train_loss": train_loss,
            "val_loss": val_loss,
            "train_acc": train_acc,
            "val_acc": val_acc,
            "running_acc": right / len(x),
            "inference_time": time.perf_counter() - start,
            "memory_usage": psutil.Process().memory_info().rss,
        }


def _score(net, x, y):
    with torch.no_grad():
        logits = net(x)
    return float(functional.cross_entropy(logits, y)), float((logits.argmax(dim=1) == y).float().mean())


LOGS_FOREVER = """
import itertools, sys
from helpers.monitoring.log import OptimizationMonitor

with OptimizationMonitor(sys.argv[1], {"run": "killed"}) as monitor:
    for epoch in itertools.count(1):
        monitor.log_epoch({"train_loss": 1 / epoch, "val_loss": 1.0, "train_acc": 0.9, "val_acc": 0.5}, epoch)
        print(epoch, flush=True)
"""


def kill_while_logging(path, after=50):
    """Kill a process with signal 9 while it logs epochs as fast as it can. Returns the last epoch that it confirmed.

    after: confirmed epochs to wait for. The signal falls wherever the process happens to be.
    """
    process = subprocess.Popen([sys.executable, "-c", LOGS_FOREVER, str(path)], stdout=subprocess.PIPE, text=True)
    confirmed = [int(process.stdout.readline()) for _ in range(after)]
    process.kill()
    confirmed += [int(line) for line in process.communicate()[0].splitlines() if line]
    return confirmed[-1]
