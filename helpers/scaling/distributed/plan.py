"""A million documents on paper: machines, hours, memory, money, and what a failure costs."""

import math
from dataclasses import dataclass

from .model import BYTES, bytes_sent

ENCODER = 22_713_216  # parameters of all-MiniLM-L6-v2
DIMENSIONS = 384


@dataclass(frozen=True)
class Plan:
    """What `embedding` worked out. hours: until the last shard is done. money: in the currency of the price.

    vectors_gb: of all vectors. shard_minutes: of one shard on one machine, the most that a failure costs.
    failures: to be expected. slowed_by: share of the hours that those add.
    """

    machines: int
    hours: float
    machine_hours: float
    money: float
    vectors_gb: float
    shards: int
    shard_minutes: float
    failures: float
    slowed_by: float


def embedding(documents, rate, deadline, price, shard=10_000, hours_between_failures=100.0):
    """Embed so many documents until a deadline: a `Plan`.

    rate: documents a second of one machine, measured. deadline: hours. price: of a machine for an hour. shard:
    documents of a task. hours_between_failures: of one machine, on average; an assumption.
    """
    for name, value in {"documents": documents, "rate": rate, "deadline": deadline, "shard": shard,
                        "hours_between_failures": hours_between_failures}.items():  # fmt: skip
        if not value > 0:
            raise ValueError(f"{name} must be above 0, got {value}")
    work = documents / rate / 3600
    shards = math.ceil(documents / shard)
    machines = min(math.ceil(work / deadline), shards)
    each = shard / rate / 3600
    failures = work / hours_between_failures
    rounds = math.ceil(shards / machines)  # the last round may leave machines idle
    lost = failures * each / 2  # a failure comes in the middle of a shard, on average
    hours = rounds * each + lost / machines
    return Plan(machines, hours, work + lost, (work + lost) * price, documents * DIMENSIONS * BYTES / 1e9,
                shards, 60 * each, failures, lost / work)  # fmt: skip


def fine_tuning(rate, batch, ranks, bandwidth, numbers=ENCODER, backward=2.0):
    """Predicted speed-up of data-parallel training over one worker, each with `batch` texts of its own (weak scaling).

    rate: texts a second that one worker embeds. backward: how much longer the backward pass takes than the forward one
    (2 by counting operations: Kaplan et al. 2020). bandwidth: bytes a second between neighbours. No overlap.
    """
    compute = (1 + backward) * batch / rate
    return ranks * compute / (compute + bytes_sent(numbers, ranks) / bandwidth)
