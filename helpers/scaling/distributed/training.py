"""The script that torchrun starts on every rank: data-parallel training of a classifier.

One script for one process, for the cores or GPUs of one machine, and for several machines:

    python -m helpers.scaling.distributed.training --data texts.npz
    torchrun --standalone --nproc-per-node=2 -m helpers.scaling.distributed.training --data texts.npz
    torchrun --nnodes=2 --nproc-per-node=4 --rdzv-backend=c10d --rdzv-endpoint=HOST:29500 --max-restarts=3 \
        -m helpers.scaling.distributed.training --data texts.npz --checkpoint /shared/run.pt

The last line runs on each machine. gloo carries the gradients between CPUs, nccl between GPUs.
"""

import argparse
import json
import os
import signal
import sys
import time
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from itertools import islice
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, RandomSampler, TensorDataset
from torch.utils.data.distributed import DistributedSampler
from tqdm import tqdm

from . import data as texts
from .launch import all_here


@dataclass(frozen=True)
class Settings:
    """What is trained, and how.

    global_batch: texts of one optimizer step, over all ranks and accumulated micro-batches. accumulate: micro-batches
    of a step. sampler: deal the texts out to the ranks; False is the guide's snippet, where each reads all of them.
    width: of the two hidden layers. steps: stop after so many; 0 for all epochs.
    """

    epochs: int = 5
    global_batch: int = 64
    accumulate: int = 1
    learning_rate: float = 0.1
    momentum: float = 0.9
    width: int = 256
    dropout: float = 0.0
    sampler: bool = True
    steps: int = 0
    seed: int = 0

    def micro_batch(self, ranks):
        """Texts of one forward pass on one rank. Raises ValueError if the global batch cannot be dealt out evenly."""
        size, rest = divmod(self.global_batch, ranks * self.accumulate)
        if rest or not size:
            raise ValueError(f"global_batch must be a multiple of ranks × accumulate = {ranks * self.accumulate}, "
                             f"got {self.global_batch}")  # fmt: skip
        return size


def place():
    """This process's (rank, number of ranks, device): (0, 1, …) where no group has been joined."""
    joined = dist.is_available() and dist.is_initialized()
    rank, ranks = (dist.get_rank(), dist.get_world_size()) if joined else (0, 1)
    gpu = torch.cuda.is_available() and (not joined or dist.get_backend() == "nccl")
    return rank, ranks, torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if gpu else torch.device("cpu")


def join(limit):
    """Join the group that torchrun's environment describes. Returns the store that its ranks share, None if alone."""
    if "RANK" not in os.environ:
        return None
    gpu = torch.cuda.device_count() >= int(os.environ.get("LOCAL_WORLD_SIZE", 1)) > 0  # one for each rank here
    if gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))  # before the first collective, or all use GPU 0
    store, rank, ranks = next(dist.rendezvous("env://"))
    attempt = dist.PrefixStore(f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
    all_here(attempt, rank, ranks)
    wait = timedelta(seconds=limit)
    dist.init_process_group("nccl" if gpu else "gloo", store=attempt, rank=rank, world_size=ranks, timeout=wait)
    return attempt


def network(inputs, classes, width, dropout, seed):
    """Two hidden layers; the same weights for the same seed on every rank (DDP would send rank 0's anyway)."""
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Linear(inputs, width), torch.nn.ReLU(), torch.nn.Dropout(dropout),
        torch.nn.Linear(width, width), torch.nn.ReLU(), torch.nn.Dropout(dropout), torch.nn.Linear(width, classes),
    )  # fmt: skip


def loader(data, settings):
    """Micro-batches of (vectors, labels, positions) for this rank, and the sampler that `set_epoch` must be told of."""
    rank, ranks, _ = place()
    rows = TensorDataset(torch.as_tensor(data.x), torch.as_tensor(data.y), torch.arange(len(data.x)))
    if settings.sampler:
        order = DistributedSampler(rows, ranks, rank, shuffle=True, seed=settings.seed, drop_last=True)
    else:
        order = RandomSampler(rows, generator=torch.Generator().manual_seed(settings.seed))
    return DataLoader(rows, settings.micro_batch(ranks), sampler=order, drop_last=True), order


def train(data, settings, checkpoint=None, limit=60.0, store=None, fault="", progress=False):
    """Train on this rank together with the others. Returns a dict, the same on every rank but for what it says it saw.

    data: a `data.Data`. checkpoint: a file to go on from, written by rank 0 after each epoch. store: where ranks say
    how far they are. fault: "kill:RANK:EPOCH" or "hang:RANK:EPOCH", to see what happens then.
    Returns "weights" and "gradient" of the last step (flat tensors), "losses" of this rank, "seen" (a list of
    positions for each epoch), "steps", "resumed_from" (an epoch), "model".
    """
    rank, ranks, device = place()
    plain = network(data.x.shape[1], data.classes, settings.width, settings.dropout, settings.seed).to(device)
    on_gpu = {"device_ids": [device.index]} if device.type == "cuda" else {}
    model = DistributedDataParallel(plain, **on_gpu) if ranks > 1 else plain
    optimizer = torch.optim.SGD(plain.parameters(), settings.learning_rate, settings.momentum)
    batches, order = loader(data, settings)
    first, step = resume(checkpoint, plain, optimizer, settings)
    losses, seen, gradient, passes = [], [], None, 0
    for epoch in tqdm(range(first, settings.epochs), "epochs", disable=rank > 0 or not progress, initial=first):
        torch.manual_seed(1_000_003 * settings.seed + 1009 * epoch + rank)  # of dropout: another mask on every rank
        if settings.sampler:
            order.set_epoch(epoch)  # without it, every epoch has the same order
        seen.append([])
        full = len(batches) // settings.accumulate * settings.accumulate  # what is left over would leak into a step
        for number, (vectors, labels, positions) in enumerate(islice(batches, full), start=1):
            break_here(fault, rank, epoch, number)
            whole = number % settings.accumulate == 0
            seen[-1] += positions.tolist()
            with nullcontext() if whole or ranks == 1 else model.no_sync():  # gradients add up here, unsent
                loss = functional.cross_entropy(model(vectors.to(device)), labels.to(device))
                passes += 1
                say(store, rank, passes)
                losses.append(loss.item())
                backward(loss / settings.accumulate, store, rank, ranks, passes, limit)
            if whole:
                gradient = flat(p.grad for p in plain.parameters())
                optimizer.step()
                optimizer.zero_grad()
                step += 1
                if step == settings.steps:
                    break
        save(checkpoint, plain, optimizer, settings, epoch + 1, step)
        if step == settings.steps:
            break
    return {"weights": flat(plain.parameters()), "gradient": gradient, "losses": losses, "seen": seen, "steps": step,
            "resumed_from": first, "model": plain}  # fmt: skip


def flat(tensors):
    """All numbers of several tensors, one after another, on the CPU."""
    return torch.cat([tensor.detach().flatten().cpu() for tensor in tensors])


# ---- checkpoints


def save(path, model, optimizer, settings, epoch, step):
    """Rank 0 writes what the next start needs, and the others wait. A kill meanwhile leaves the older file intact."""
    rank, ranks, _ = place()
    if path is not None and rank == 0:
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch, "step": step}
        torch.save(state | {"settings": asdict(settings)}, f"{path}.partial")
        os.replace(f"{path}.partial", path)
    if path is not None and ranks > 1:
        dist.barrier()


def resume(path, model, optimizer, settings):
    """Put the saved state, if there is any, into model and optimizer: (first epoch to run, steps done).

    Rank 0 reads it and sends it to the others, so that all go on from the same, with or without a shared disk.
    Raises ValueError if it was saved with other settings; more epochs are allowed.
    """
    rank, ranks, device = place()
    found = [None]
    if path is not None and rank == 0 and Path(path).is_file():
        found = [torch.load(path, map_location="cpu", weights_only=True)]
    if path is not None and ranks > 1:
        dist.broadcast_object_list(found, device=device)
    saved = found[0]
    if saved is None:
        return 0, 0
    for name, value in asdict(settings).items():
        if name not in ("epochs", "steps") and saved["settings"][name] != value:
            raise ValueError(f"{name} is {value}, but {path} was saved with {saved['settings'][name]}: use that, or "
                             "another checkpoint")  # fmt: skip
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    return saved["epoch"], saved["step"]


# ---- who is late


def say(store, rank, passes):
    "Tell the others that this rank's own forward pass is done: from here on it may wait for them."
    if store is not None:
        store.set(f"passes of rank {rank}", str(passes))


def backward(loss, store, rank, ranks, passes, limit):
    """The backward pass, in which DDP averages gradients. If the others do not come, say who did not.

    With gloo, which raises an error here after the time limit. nccl ends the process from a thread of its own, and
    then the starter's log says no more than that.
    """
    try:
        loss.backward()
    except RuntimeError as error:
        late = []
        for other in range(ranks) if store is not None else ():
            key = f"passes of rank {other}"
            late += [other] if not store.check([key]) or int(store.get(key)) < passes else []
        if not late:
            raise
        names = ", ".join(f"rank {other}" for other in late)
        reason = f"{names} has not reached batch {passes} within {limit:g} seconds; rank {rank} waited"
        raise TimeoutError(reason) from error


def break_here(fault, rank, epoch, number):
    "Kill or hang this rank in its fifth batch of an epoch, if that is asked for, on the first attempt."
    if not fault or number != 5 or int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0:
        return
    kind, who, when = fault.split(":")
    if (rank, epoch) == (int(who), int(when)):
        if kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(3600)


# ---- the command


def main(arguments=None):
    name = "python -m helpers.scaling.distributed.training"
    parser = argparse.ArgumentParser(name, description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True, help="an .npz file that data.Data.save wrote")
    parser.add_argument("--checkpoint", help="go on from this file if it exists, and keep it up to date")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds that ranks wait for each other")
    parser.add_argument("--fault", default="", help="kill:RANK:EPOCH or hang:RANK:EPOCH, to see what happens")
    parser.add_argument("--progress", action="store_true", help="a bar on rank 0's standard error")
    for field in fields(Settings):
        if field.name != "sampler":
            parser.add_argument(f"--{field.name.replace('_', '-')}", type=field.type, default=field.default)
    chosen = vars(parser.parse_args(arguments))
    run = {name: chosen.pop(name) for name in ("checkpoint", "limit", "fault", "progress")}
    data, start = texts.read(chosen.pop("data")), time.perf_counter()
    try:
        store = join(run["limit"])
        done = train(data, Settings(**chosen), store=store, **run)
        if place()[0] == 0:  # one rank speaks
            print(json.dumps(asdict(Settings(**chosen)) | report(done, data, time.perf_counter() - start)), flush=True)
    except (ValueError, TimeoutError) as error:
        sys.exit(f"error: {error}")
    finally:
        if dist.is_initialized():
            with suppress(RuntimeError):  # the group may be broken already
                dist.destroy_process_group()


def report(done, data, seconds):
    """What rank 0 says at the end: a dict for JSON."""
    with torch.no_grad():
        device = next(done["model"].parameters()).device
        found = done["model"].eval()(torch.as_tensor(data.held_x).to(device)).argmax(dim=1).cpu()
    right = (found == torch.as_tensor(data.held_y)).float().mean().item()
    return {"ranks": place()[1], "steps": done["steps"], "resumed_from": done["resumed_from"], "accuracy": right,
            "weights": done["weights"].double().norm().item(), "seconds": seconds}  # fmt: skip


if __name__ == "__main__":
    main()
