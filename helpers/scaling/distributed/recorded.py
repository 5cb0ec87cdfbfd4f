"""What is too long for the notebook: steps from 0.1 to 20 million parameters, and an encoder on two processes."""

import statistics

import numpy as np
from tqdm.auto import tqdm

from ... import evaluation
from ...course.results import load, recorded
from . import launch, measuring, sharding

LESSON = "07_distributed"
SIZES = (100_000, 300_000, 1_000_000, 3_000_000, 5_000_000, 20_000_000)
STEP = (measuring.step_seconds, measuring.repeats, measuring.timed, measuring.width_of, sharding.mlp)


@recorded(LESSON, depends_on=STEP)
def steps(*, sizes=SIZES, batch=256, others=((5_000_000, 64), (1_000_000, 1024), (5_000_000, 1024)), ranks=2,
          starts=5, rounds=3):  # fmt: skip
    """Seconds of a step by arm: {"points": [{"numbers", "batch", arm: list of seconds}], "cores"}.

    One value for each of several starts of the processes, the median of its rounds: rounds of one start resemble each
    other more than another start does.
    """
    arms, points = (*measuring.ALONE, *measuring.TOGETHER), []
    for start in tqdm(range(starts), "starts", leave=False):
        with launch.Ranks(ranks, limit=280) as started:
            for number, (size, texts) in enumerate([*((size, batch) for size in sizes), *others]):
                found = started.run(measuring.step_seconds, measuring.width_of(size), texts, rounds, start)[0]
                if start == 0:
                    points.append({"numbers": found["numbers"], "batch": texts} | {arm: [] for arm in arms})
                for arm in arms:
                    points[number][arm].append(statistics.median(found[arm]))
    return {"points": points, "cores": launch.cores()}


@recorded(LESSON, depends_on=[measuring.encoding_seconds, measuring.encode_share, measuring.mine])
def embedding(*, texts=256, ranks=2, rounds=6):
    """Seconds to embed the same texts, by arm and round, and how far the shards' vectors are from one process's."""
    with launch.Ranks(ranks, limit=280) as started:
        found = started.run(measuring.encoding_seconds, texts, rounds)[0]
    return found | {"texts": texts, "cores": launch.cores()}


@recorded(LESSON, depends_on=[sharding])
def memory(*, width=4280, ranks=2, rounds=3):
    """By how much the most memory of a rank grows while it trains, over the bytes of the weights: {way: list}.

    Of the rank that needs most, in fresh processes that have trained a small model before, so that code does not count.
    """
    found = {way: [] for way in sharding.WAYS}
    for _ in tqdm(range(rounds), "rounds", leave=False):
        for way in sharding.WAYS:
            with launch.Ranks(ranks, limit=100) as started:
                started.run(sharding.held, way, 64)
                held = started.run(sharding.held, way, width)
            found[way].append(max(each["peak"] for each in held) / (4 * held[0]["numbers"]))
    return {"peak": found}


def medians(points):
    """Each point with the median of its starts: a list of dicts, see `model.fit`."""
    arms = (*measuring.ALONE, *measuring.TOGETHER)
    return [{name: statistics.median(value) if name in arms else value for name, value in p.items()} for p in points]


def ratio(point, over, arm="ranks"):
    """How many times as fast `arm` is as `over`: geometric mean over starts, an `evaluation.Interval`.

    Speaks of other starts on the same machine on the same day; of a single start's live rounds, of other rounds.
    """
    logs = evaluation.over_seeds(np.log(point[over]) - np.log(point[arm]))
    return evaluation.Interval(*(float(np.exp(x)) for x in (logs.estimate, logs.low, logs.high)))


def load_steps():
    """The recorded points, smallest first."""
    return load(LESSON, "steps").values["points"]


def embedding_rate():
    """Documents a second that one process with all cores embedded: the median of the recorded rounds."""
    found = load(LESSON, "embedding").values
    return found["texts"] / statistics.median(found["all cores"])


def peaks():
    """{way: times the weights}, by how much a rank's peak memory grew: the median of the recorded rounds."""
    return {way: statistics.median(values) for way, values in load(LESSON, "memory").values["peak"].items()}


def ladder(row):
    """What a second worker would add if one excuse after another is removed: {step: times as fast as one worker}.

    row: one of `medians`.
    """
    together = row["compute"] + row["optimizer"]
    seconds = {
        "one process, both cores": row["all cores"],
        "half of the texts each": row["share of cores and batch"],
        "both at once": together,
        "and all-reduce": together + row["all-reduce"],
        "DDP, measured": row["ranks"],
    }
    return {"two ideal workers": 2.0} | {name: row["share of cores"] / value for name, value in seconds.items()}
