"""What one rank must hold: weights, gradients and optimizer state, as a replica or as a shard of them."""

import sys

import psutil
import torch
import torch.distributed as dist
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

WAYS = ("one process", "DDP", "DDP, views", "ZeRO-1", "FSDP")


def held(way, width, inputs=384, classes=5, steps=2, seed=0):
    """Train a few steps with AdamW, and count what this rank then holds.

    way: one of `WAYS`: "DDP" keeps all on every rank, "DDP, views" too, but no second copy of the gradients; "ZeRO-1"
    shards the optimizer's state, "FSDP" weights, gradients and state (`fully_shard`). width: of the two hidden layers.
    Every rank gets texts of its own.
    Returns {"weights", "gradients", "optimizer": bytes in this rank's tensors, "numbers": parameters of the whole
    model, "loss": of the last step averaged over ranks, "same": are all weights the same on every rank?, "peak": by how
    many bytes the most that this process ever had in memory exceeds what it had before}.
    """
    if way not in WAYS:
        raise ValueError(f"way must be one of {', '.join(WAYS)}; got {way!r}")
    before = memory()
    model = mlp(inputs, width, classes, seed)
    numbers = sum(p.numel() for p in model.parameters())
    model, optimizer = prepared(way, model)
    generator = torch.Generator().manual_seed(seed + dist.get_rank())
    for _ in range(steps):
        x, y = torch.randn(64, inputs, generator=generator), torch.randint(classes, (64,), generator=generator)
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    found = {"weights": total(model.parameters()), "gradients": total(p.grad for p in model.parameters())}
    states = getattr(optimizer, "optim", optimizer).state.values()  # ZeRO's own shard is in its inner optimizer
    found["optimizer"] = total(value for state in states for value in state.values())
    found["peak"] = peak_memory() - before
    return found | {"numbers": numbers, "loss": averaged(loss), "same": agreed(model) if way == "DDP" else None}


def mlp(inputs, width, classes, seed=0):
    """Two hidden layers of `width` units."""
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Linear(inputs, width), torch.nn.ReLU(),
        torch.nn.Linear(width, width), torch.nn.ReLU(), torch.nn.Linear(width, classes),
    )  # fmt: skip


def prepared(way, model):
    """The model and an AdamW for it, replicated or sharded."""
    if way == "FSDP":
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh("cpu", (dist.get_world_size(),))
        for layer in model:
            if isinstance(layer, torch.nn.Linear):
                fully_shard(layer, mesh=mesh)  # layer by layer, so that one at a time is whole
        fully_shard(model, mesh=mesh)
    elif way != "one process":
        model = DistributedDataParallel(model, gradient_as_bucket_view=way == "DDP, views")
    if way == "ZeRO-1":
        from torch.distributed.optim import ZeroRedundancyOptimizer

        return model, ZeroRedundancyOptimizer(model.parameters(), torch.optim.AdamW, lr=1e-3)
    return model, torch.optim.AdamW(model.parameters(), lr=1e-3)


def total(tensors):
    """Bytes of tensors; of a sharded one, those of this rank's part."""
    return sum(t.to_local().nbytes if hasattr(t, "to_local") else t.nbytes for t in tensors if torch.is_tensor(t))


def averaged(loss):
    "Mean of a number over ranks."
    mean = loss.detach().clone()
    dist.all_reduce(mean)
    return (mean / dist.get_world_size()).item()


def agreed(model):
    "Are the weights those of rank 0, bit for bit?"
    weights = torch.cat([p.detach().flatten() for p in model.parameters()])
    theirs = weights.clone()
    dist.broadcast(theirs, 0)
    return torch.equal(weights, theirs)


def peak_memory():
    """The most memory that this process has had in use so far, in bytes."""
    import resource  # not on Windows

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def memory():
    """Memory of this process now, in bytes."""
    return psutil.Process().memory_info().rss
