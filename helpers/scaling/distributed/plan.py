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
    failures: to be expected, each of a machine that is replaced at once.
    """

    machines: int
    hours: float
    money: float
    vectors_gb: float
    shards: int
    shard_minutes: float
    failures: float


def embedding(documents, rate, deadline, price, shard=10_000, hours_between_failures=100.0):
    """Embed so many documents until a deadline: a `Plan`.

    rate: documents a second of one machine, measured. deadline: hours. price: of a machine for an hour. shard:
    documents of a task. hours_between_failures: of one machine, on average; an assumption.
    """
    for name, value in {"documents": documents, "rate": rate, "deadline": deadline, "shard": shard,
                        "hours_between_failures": hours_between_failures}.items():  # fmt: skip
        if not value > 0:
            raise ValueError(f"{name} must be above 0, got {value}")
    shards = math.ceil(documents / shard)
    each = min(documents, shard) / rate / 3600
    failures = shards * each / hours_between_failures
    lost = failures * each / 2  # a failure comes in the middle of a shard, on average
    if deadline < each:
        reason = f"deadline must be at least the {each:g} hours of one shard, got {deadline}"
        raise ValueError(f"{reason}: wait longer, or make shard smaller")
    rounds = int(deadline / each)  # shards that one machine can do in time, one after another
    machines = math.ceil(shards / rounds)
    while (hours := math.ceil(shards / machines) * each + lost / machines) > deadline:
        machines += 1
    vectors = documents * DIMENSIONS * BYTES / 1e9
    return Plan(machines, hours, machines * hours * price, vectors, shards, 60 * each, failures)


def fine_tuning(rate, batch, ranks, bandwidth, numbers=ENCODER, backward=2.0, overlap=False):
    """Predicted speed-up of data-parallel training over one worker, each with `batch` texts of its own (weak scaling).

    rate: texts a second that one worker embeds. backward: how much longer the backward pass takes than the forward one
    (2 by counting operations: Kaplan et al. 2020). bandwidth: bytes a second between neighbours. overlap: True hides
    sending behind the backward pass as far as that is long enough, False not at all. The optimizer is left out.
    """
    forward = batch / rate
    sending = bytes_sent(numbers, ranks) / bandwidth
    following = max(backward * forward, sending) if overlap else backward * forward + sending
    return ranks * (1 + backward) * forward / (forward + following)


def compared(workers, networks, ranks=4):
    """`fine_tuning` for several workers and networks, at both ends of what can be hidden.

    workers: {name: (rate, batch)}. networks: {name: bytes a second}. Returns {(worker, "nothing hidden" or
    "all hidden"): {network: predicted speed-up over one such worker}}.
    """
    return {
        (name, "all hidden" if overlap else "nothing hidden"): {
            network: fine_tuning(*worker, ranks, speed, overlap=overlap) for network, speed in networks.items()
        }
        for name, worker in workers.items()
        for overlap in (False, True)
    }
