"""Where the time of a step goes: one process with all cores, one with its share of them, and several ranks.

Every function here runs on all ranks of a `launch.Ranks`. What one process does alone, rank 0 does while the others
wait, so that all arms take turns on one machine.
"""

import math
import random
import time
from contextlib import nullcontext

import torch
import torch.distributed as dist
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from .launch import cores
from .sharding import mlp

INPUTS, CLASSES = 384, 5
ALONE = ("all cores", "share of cores", "share of cores and batch")  # arms of rank 0
TOGETHER = ("ranks", "compute", "optimizer", "all-reduce")  # a whole step of all ranks, and its parts one by one


def width_of(numbers):
    """Width of two hidden layers with about so many parameters in all: w² + (384 + 5 + 2) w + 5 = numbers."""
    half = (INPUTS + CLASSES + 2) / 2
    return max(1, round(-half + math.sqrt(half**2 + numbers - CLASSES)))


def step_seconds(width, batch, rounds=5, seed=0):
    """Seconds of a training step, in each of several rounds in which the arms take turns.

    width: of the two hidden layers. batch: texts of a step, over all ranks. Returns on rank 0 {arm: list of seconds}
    and "numbers", the parameters; on the others {}. Arms: "all cores" and "share of cores", one process with all of
    the batch; "share of cores and batch", one process with what one rank of several would have; "ranks", all of them,
    with DDP; and its parts: "compute" (forward and backward, nothing sent), "optimizer", "all-reduce".
    """
    rank, ranks = dist.get_rank(), dist.get_world_size()
    share = max(1, cores() // ranks)
    part, rest = divmod(batch, ranks)
    if rest or not part:
        raise ValueError(f"batch must be a multiple of {ranks} ranks, got {batch}")
    plain = mlp(INPUTS, width, CLASSES, seed)
    numbers = sum(p.numel() for p in plain.parameters())
    model = DistributedDataParallel(plain, gradient_as_bucket_view=True) if ranks > 1 else plain
    optimizer = torch.optim.AdamW(plain.parameters(), lr=1e-4, fused=True)
    x, y = torch.randn(batch, INPUTS), torch.randint(CLASSES, (batch,))
    gradient = torch.zeros(numbers)

    def compute(network, size):
        functional.cross_entropy(network(x[:size]), y[:size]).backward()

    def whole(network, size):
        compute(network, size)
        optimizer.step()
        optimizer.zero_grad()

    def unsent():
        with nullcontext() if ranks == 1 else model.no_sync():
            compute(model, part)

    jobs = {
        "all cores": (cores(), lambda: whole(plain, batch)),
        "share of cores": (share, lambda: whole(plain, batch)),
        "share of cores and batch": (share, lambda: whole(plain, part)),
        "ranks": (share, lambda: whole(model, part)),
        "compute": (share, unsent),
        "optimizer": (share, optimizer.step),
        "all-reduce": (share, lambda: dist.all_reduce(gradient)),
    }
    found = {arm: [] for arm in jobs}
    whole(model, part)  # the first of all is slower
    counts = {arm: repeats(jobs[arm], rank == 0 or arm in TOGETHER, arm in TOGETHER) for arm in jobs}
    order = random.Random(seed)  # the same on every rank
    for _ in range(rounds):
        for arm, job in order.sample(list(jobs.items()), len(jobs)):
            optimizer.zero_grad()
            if arm == "optimizer":
                unsent()  # it does nothing without gradients
            if rank == 0 or arm in TOGETHER:
                found[arm].append(timed(job, counts[arm], arm in TOGETHER))
            dist.barrier()
    return found | {"numbers": numbers} if rank == 0 else {}


def repeats(job, mine, together, seconds=0.04):
    "How often to repeat a job so that it takes about so long; the same on every rank."
    count = torch.ones(1)
    if mine:
        timed(job, 1, together)
        count += int(seconds / timed(job, 1, together))
    dist.broadcast(count, 0)
    return min(20, int(count))


def timed(job, count, together):
    "Seconds of one job, over `count` in a row; the first of all is not counted, for it wakes the threads."
    threads, run = job
    torch.set_num_threads(threads)
    run()
    if together:
        dist.barrier()
    start = time.perf_counter()
    for _ in range(count):
        run()
    return (time.perf_counter() - start) / count


# ---- embedding: no gradient, so nothing to send


def encode_share(texts):
    """Vectors of this rank's texts, each with its position: ([positions], float32 (texts, 384)); nothing is sent."""
    from ...assistant import models

    positions = mine(texts)
    found = models.encoder().encode([texts[i] for i in positions], batch_size=32, show_progress_bar=False)
    return positions, found


def mine(texts):
    """Positions of this rank's share: dealt out by length, so that every rank has as much to do."""
    by_length = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    return by_length[dist.get_rank() :: dist.get_world_size()]


def encoding_seconds(count, rounds=3):
    """Seconds to embed `count` documents: on rank 0 {arm: list of seconds}, and "apart", the largest difference.

    Arms: "all cores", one process; "share of cores", one process; "ranks", all, each its share, without a group.
    """
    from ...assistant import corpus, models

    documents = corpus.load_documents()
    texts = [document.text for document in documents[:: len(documents) // count][:count]]
    whole = models.encoder().encode(texts, batch_size=32, show_progress_bar=False)
    positions, vectors = encode_share(texts)
    found = {"apart": float(abs(whole[positions] - vectors).max())}

    def alone():
        models.encoder().encode(texts, batch_size=32, show_progress_bar=False)

    share = max(1, cores() // dist.get_world_size())
    jobs = {"all cores": (cores(), alone), "share of cores": (share, alone),
            "ranks": (share, lambda: encode_share(texts))}  # fmt: skip
    for turn in range(rounds + 1):
        for arm, (threads, job) in jobs.items():
            torch.set_num_threads(threads)
            dist.barrier()
            start = time.perf_counter()
            if dist.get_rank() == 0 or arm == "ranks":
                job()
            if arm == "ranks":
                dist.barrier()  # all have theirs
            found.setdefault(arm, []).append(time.perf_counter() - start)
            dist.barrier()
        if turn == 0:  # warms up
            found = {"apart": found["apart"]}
    return found if dist.get_rank() == 0 else {}
