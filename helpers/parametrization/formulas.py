"""The guide's prescriptions as it gives them: formulas, worked examples, strategies, tables."""

import math
from collections.abc import Callable
from dataclasses import dataclass

SMALL, LARGE = 5_000, 50_000  # "samples", where the guide's strategies change


def temperature(data_size):
    """The guide's "optimal temperature": 0.3 + log10(data_size) / 6 · 0.4. It names no source (P06)."""
    return 0.3 + math.log10(checked_size(data_size)) / 6 * 0.4


def embedding_dimension(documents):
    """The guide's "optimal embedding dimension": sqrt(10 · documents). It names no source (P11)."""
    return math.sqrt(10 * checked_size(documents, "documents"))


def regularization(parameters, data_size):
    """The guide's "optimal λ": 1 / (parameters · sqrt(data_size)). It names no source (P16)."""
    return 1 / (checked_size(parameters, "parameters") * math.sqrt(checked_size(data_size)))


def top_k(documents):
    """The guide's "optimal top-k": max(3, sqrt(documents) / 3), not yet a whole number. It names no source (P23)."""
    return max(3, spoken_top_k(documents))


def spoken_top_k(documents):
    """The same as the guide's interview answer has it: sqrt(documents) / 3, without the 3 at least (P27)."""
    return math.sqrt(checked_size(documents, "documents")) / 3


def checked_size(value, name="data_size"):
    """`value`, if it is a finite number of at least 1; otherwise a TypeError or ValueError that names it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not 1 <= value < math.inf:
        raise ValueError(f"{name} must be at least 1 and finite, got {value}: an empty system has no settings")
    return value


def guides_audit(config):
    """What the guide's "audit current parameters" prints, as it is written: literals, whatever the config (P44)."""
    del config  # it never looks
    return f"Temperature: {0.7}\nTop-K: {3}\nSimilarity Threshold: {0.3}\nEmbedding Dimension: {384}\n"


# ---- the worked examples


@dataclass(frozen=True)
class Example:
    """A worked example of the guide: what it says, what its own formula gives, what it then says to use."""

    claim: str
    expression: str
    says: float
    unit: float  # one unit of the last digit that the guide prints
    gives: float
    use: str = ""

    @property
    def holds(self):
        """Does the formula give what the guide says, within one unit of its last digit?"""
        return abs(self.says - self.gives) < self.unit

    @property
    def times_off(self):
        """What the guide says over what its formula gives."""
        return self.says / self.gives


def worked_examples():
    """The guide's sixteen worked examples (and one printed comment), recomputed: a tuple of `Example`."""
    sizes = (100, 1_000, 10_000, 100_000)
    by_size = [
        ("P07", "0.3 + log10({n:,}) / 6 · 0.4", temperature, (0.43, 0.5, 0.57, 0.63), 0.01, ("",) * 4),
        ("P13", "sqrt(10 · {n:,})", embedding_dimension, (32, 100, 316, 1_000), 1, ("32–64", "128–256", "384", "")),
        ("P24", "max(3, sqrt({n:,}) / 3)", top_k, (3, 10, 33, 105), 1, ("",) * 4),
    ]
    found = [
        Example(claim, expression.format(n=n), says, unit, formula(n), use)
        for claim, expression, formula, said, unit, uses in by_size
        for n, says, use in zip(sizes, said, uses, strict=True)
    ]
    lambdas = (
        ("P17", 384, 100, 0.0026, 1e-4, "0.01"),
        ("P18", 384, 1_000, 0.0008, 1e-4, "0.001"),
        ("P19", 768, 10_000, 0.00001, 1e-5, "0.0001"),
        ("P20", 384 * 12, 10_000, 0.00007, 1e-5, ""),
    )
    return tuple(found) + tuple(
        Example(claim, f"1 / ({p:,} · sqrt({n:,}))", says, unit, regularization(p, n), use)
        for claim, p, n, says, unit, use in lambdas
    )


# ---- strategies, table, examples


@dataclass(frozen=True)
class Strategy:
    """One of the guide's three strategies; a range is (low, high)."""

    name: str
    temperature: float
    top_k: tuple
    similarity_threshold: tuple
    embedding_dim: int
    regularization: float
    dropout: float


CONSERVATIVE = Strategy("conservative", 0.3, (3, 3), (0.6, 0.6), 384, 0.05, 0.3)
BALANCED = Strategy("balanced", 0.5, (5, 7), (0.5, 0.5), 768, 0.01, 0.2)
AGGRESSIVE = Strategy("aggressive", 0.7, (10, 20), (0.3, 0.4), 1024, 0.001, 0.1)
STRATEGIES = (CONSERVATIVE, BALANCED, AGGRESSIVE)


def strategy(samples):
    """The guide's strategy for so many samples: below 5,000, up to 50,000, above."""
    checked_size(samples, "samples")
    return CONSERVATIVE if samples < SMALL else BALANCED if samples <= LARGE else AGGRESSIVE


# ---- every recommendation for a knob


@dataclass(frozen=True)
class Recommendation:
    """One answer of the guide: from `low` to `high`, by what, in which claim of the ledger."""

    by: str
    low: float
    high: float
    claim: str

    def __str__(self):
        values = dict.fromkeys(f"{value:.2g}" if value < 1 else f"{value:g}" for value in (self.low, self.high))
        return f"{'–'.join(values)} ({self.by}, {self.claim})"


def _range(field):
    "A strategy's setting as (low, high)."

    def chosen(n):
        value = getattr(strategy(n), field)
        return value if isinstance(value, tuple) else (value, value)

    return chosen


def _always(low, high=None):
    return lambda n: (low, low if high is None else high)


def _by_size(*steps):
    "The value of the last step whose size is reached: ((size, value), …); None below the first."

    def chosen(n):
        reached = [value for size, value in steps if n >= size]
        return (reached[-1], reached[-1]) if reached else None

    return chosen


def _formula(function):
    return lambda n: (function(n),) * 2


# {knob: ((by what, claim, size -> (low, high), or None where it says nothing), …)}
PRESCRIPTIONS: dict[str, tuple[tuple[str, str, Callable], ...]] = {
    "temperature": (
        ("formula", "P06", _formula(temperature)),
        ("table", "P08", _always(0.3, 0.5)),
        ("strategy", "P08", _range("temperature")),
        ("example", "P08", _by_size((10, 0.7), (1_000, 0.5), (100_000, 0.6))),
        ("range", "P05", _always(0.1, 1.0)),
    ),
    "top_k": (
        ("formula", "P23", lambda n: (int(top_k(n)),) * 2),
        ("table", "P26", _always(5, 10)),
        ("strategy", "P26", _range("top_k")),
        ("example", "P26", _by_size((10, 3), (1_000, 10), (100_000, 50))),
        ("range", "P26", _always(1, 10)),
    ),
    "similarity_threshold": (
        ("table", "P29", _always(0.5, 0.7)),
        ("strategy", "P29", _range("similarity_threshold")),
        ("example", "P29", _by_size((10, 0.3), (1_000, 0.5), (100_000, 0.4))),
        ("range", "P30", _always(0.1, 0.9)),
    ),
    "embedding_dim": (
        ("formula", "P11", lambda n: (int(embedding_dimension(n)),) * 2),
        ("table", "P14", _always(768, 1024)),
        ("strategy", "P13", _range("embedding_dim")),
        ("example", "P15", _by_size((10, 384), (1_000, 384), (100_000, 1024))),
    ),
    "regularization": (
        ("formula, 384 parameters", "P16", _formula(lambda n: regularization(384, n))),
        ("formula, 384 · 12 parameters", "P20", _formula(lambda n: regularization(384 * 12, n))),
        ("table", "P32", _always(0.01)),
        ("strategy", "P33", _range("regularization")),
        ("example", "P33", _by_size((10, 0.0), (1_000, 0.01), (100_000, 0.0001))),
    ),
    "dropout": (
        ("table", "P32", _always(0.2, 0.3)),
        ("strategy", "P33", _range("dropout")),
        ("example", "P33", _by_size((10, 0.0), (1_000, 0.2), (100_000, 0.1))),
        ("part 1", "R19", _always(0.3, 0.5)),
    ),
    "batch_size": (
        ("table", "P31", _always(32, 64)),
        ("example", "P31", _by_size((1_000, 1), (100_000, 256))),
        ("part 1", "P31", _always(256)),
    ),
    "max_seq_length": (("part 1", "T07", _always(512)),),
    "chunk_size": (("part 1", "P41", _always(512)),),
    "overlap": (("part 1", "P42", _always(50)),),
}


def recommendations(knob, data_size):
    """All that the guide recommends for a knob at a size: a tuple of `Recommendation`; empty if it says nothing."""
    checked_size(data_size)
    found = ((by, claim, bounds(data_size)) for by, claim, bounds in PRESCRIPTIONS.get(knob, ()))
    return tuple(Recommendation(by, *bounds, claim) for by, claim, bounds in found if bounds is not None)


def agree(recommended):
    """Is there a value that lies within all of these recommendations?"""
    return max(r.low for r in recommended) <= min(r.high for r in recommended)


def contradictions(data_size):
    """{knob: its recommendations} for the knobs whose recommendations no single value can meet."""
    every = {knob: recommendations(knob, data_size) for knob in PRESCRIPTIONS}
    return {knob: found for knob, found in every.items() if found and not agree(found)}


# What the guide's two documents say of one quantity: (quantity, part 1, part 2, claims).
BETWEEN_DOCUMENTS = (
    ("gap that means overfitting", "≤ 5 good, 5–15 slight, > 15; target < 5", "< 2, 2–5, 5–10, 10+", "M01 M02"),
    ("dropout", "0.3–0.5; best 0.3–0.4; 0.5 too much", "0.3; 0.3–0.5; 0.2–0.3; 0.3/0.2/0.1 by size", "R19 P33"),
    ("λ", "0.01; 0.001–0.1", "0.01; 0.05/0.01/0.001 by size; formula; 0.0001", "R12 P16"),
    ("temperature when scaling", "0.7, maybe 0.3", "table down; strategies and formula up; example both", "P08"),
    ("embedding dimension", "384; search 256–1024", "384/768/1024 by size; formula 32–1,000; 768–1024", "P13"),
    ("top_k", "3", "1–10; 3/5–7/10–20; 5–10; formula 3–105; 10, 50", "P26"),
    ("threshold at scale", "0.3", "table up to 0.7; strategy and example down to 0.3–0.4", "P29"),
    ("batch size", "32; 256", "256; 32–64; 16–512", "P31"),
    ("warm-up of Bayesian search", "learns after 10, focuses after 50", "after about 20", "T27 T29"),
    ("grid's n and k in O(n^k)", "n parameters, k trials", "n values, k parameters", "T38 T39"),
    ("one text's encoding", "1 ms and 10 ms", "10 ms", "S02"),
    ("speed-up of batches", "2.5x by its numbers", "5–10x", "S04"),
    ("speed-up of 4 GPUs", "4x and 3.5x", "3.5x", "S14"),
    ("speed-up of FAISS", "about 100x and 50,000x in one block", "50,000x", "S27 S30"),
    ("scale, 5 documents to 1M", "5 → 1M", "200x and 200,000x", "S37"),
    ("latency", "1 → 0.2 ms", "< 1 ms; 1 → 0.2 ms; 1–10 ms", "S40 S41 I07"),
    ("memory", "–", "200,000x more, and 2 → 4 GB", "S38 S43"),
    ("overfitting reduced", "15 → < 5; about 10 %", "50 %; 15 → < 5; 15 → 3; gain 15 %", "I03"),
    ("accuracy promised", "82 %; 75 → 85+", "75 → 85; 75 → 82 → 88", "I02 P40"),
    ("augmented documents", "original + 3 = 4x", "4 techniques = 400, should be 500", "A02"),
    ("one at a time or jointly", "grid and Bayesian search, jointly", "Bayesian search, and change ONE", "P36"),
    ("early stopping watches", "accuracy (text), loss (code)", "loss rises, and stops improving", "R31"),
)
