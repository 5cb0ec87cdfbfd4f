"""Every knob of a live config: what the guide recommends, what was measured, what it can change."""

import math
from dataclasses import dataclass, fields, replace

import numpy as np

from ..assistant import models
from ..assistant.config import GUIDE, Config
from ..course.results import load
from . import formulas
from .recorded import CURVE, EVERYTHING, LESSON

TRAINED, INFERENCE, CHECKPOINT, INDEX, SPEED = (
    "trained", "inference", "fixed by the checkpoint", "built into the index", "only speed",
)  # fmt: skip


@dataclass(frozen=True)
class Knob:
    """What kind of setting this is, what it can change, and what it cannot."""

    kind: str
    can: str
    cannot: str


KNOBS = {
    "temperature": Knob(INFERENCE, "how the next token is drawn", "any weight; what the model knows; the gap of a fit"),
    "top_p": Knob(INFERENCE, "which tokens may be drawn", "the likeliest token"),
    "max_tokens": Knob(INFERENCE, "where an answer is cut off", "what stands before"),
    "frequency_penalty": Knob(INFERENCE, "how often a token comes back", "the first token"),
    "presence_penalty": Knob(INFERENCE, "whether a token comes back", "the first token"),
    "batch_size": Knob(SPEED, "texts encoded per second, memory", "a vector, beyond rounding"),
    "max_seq_length": Knob(
        CHECKPOINT, "how much of a text is read, up to what was trained", "what MiniLM was trained on"
    ),
    "chunk_size": Knob(INDEX, "where long documents are cut", "documents that fit, nearly all of ours"),
    "overlap": Knob(INDEX, "what neighbouring pieces share, and the size of the index", "documents that fit"),
    "method": Knob(INFERENCE, "which documents are found", "any vector"),
    "top_k": Knob(INFERENCE, "recall, length of the prompt, distractors", "the ranking"),
    "similarity_threshold": Knob(INFERENCE, "which questions get no document at all", "the ranking"),
    "keyword_threshold": Knob(INFERENCE, "which questions the signature lookup answers", "what it answers"),
    "tool_timeout": Knob(INFERENCE, "how long a tool may take", "what it answers"),
    "embedding_dim": Knob(CHECKPOINT, "nothing: another width is another model and a new index", "recall, by itself"),
    "regularization": Knob(
        TRAINED, "a classifier head, by its labelled examples", "a frozen encoder or language model"
    ),
    "dropout": Knob(TRAINED, "a classifier head while it trains", "a frozen model; anything at inference"),
}
NOTHING_TRAINED = "none: nothing is trained here"


@dataclass(frozen=True)
class Row:
    """One knob: its value now, what the guide recommends, what was measured, and what the knob is."""

    knob: str
    current: object
    recommended: tuple  # of formulas.Recommendation
    measured: str
    kind: str
    can: str
    cannot: str

    @property
    def contradicts(self):
        """Do the guide's own recommendations exclude each other?"""
        return bool(self.recommended) and not formulas.agree(self.recommended)


def audit(config, data_size, knobs=None):
    """Every knob of a config: a tuple of `Row`.

    config: a `Config`, read as it is, or a dict such as the guide's `config_small`, whose other settings are
    those of `GUIDE`. data_size: documents in the index, which is what the guide means by it. knobs: some of
    `KNOBS`; all if None. Raises ValueError for a size below 1, an unknown knob or an impossible value, TypeError
    for a value of the wrong type.
    """
    formulas.checked_size(data_size)
    chosen = tuple(KNOBS) if knobs is None else tuple(knobs)
    _known(chosen)
    current = _values(config)
    found = measured(data_size)
    return tuple(
        Row(
            name, current[name], formulas.recommendations(name, data_size), found.get(name, "not measured here"),
            KNOBS[name].kind, KNOBS[name].can, KNOBS[name].cannot,
        )
        for name in chosen
    )  # fmt: skip


def _known(names):
    unknown = [name for name in names if name not in KNOBS]
    if unknown:
        raise ValueError(f"unknown knob {unknown[0]!r}; there is {', '.join(KNOBS)}")


def _values(config):
    "{knob: value} of a Config or a dict, checked."
    width = models.encoder().get_embedding_dimension()
    other = {"embedding_dim": width, "regularization": NOTHING_TRAINED, "dropout": NOTHING_TRAINED}
    if isinstance(config, dict):
        _known(config)
        given = {name: config[name] for name in other if name in config}
        _check_others(given, width)
        names = {field.name for field in fields(Config)}
        config = replace(GUIDE, **{name: value for name, value in config.items() if name in names})
        other |= given
    if not isinstance(config, Config):
        raise TypeError(f"config must be a Config or a dict of its knobs, got {type(config).__name__}")
    return {field.name: getattr(config, field.name) for field in fields(Config)} | other


def _check_others(given, width):
    "The guide's settings that no Config has."
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{name} must be a number, got {value!r}")
    if given.get("embedding_dim", width) != width:
        raise ValueError(
            f"embedding_dim must be {width}, the width of the encoder's vectors; got {given['embedding_dim']}. "
            "Another width needs another model, and every document embedded again"
        )
    if given.get("regularization", 0) < 0:
        raise ValueError(f"regularization must be at least 0, got {given['regularization']}")
    if not 0 <= given.get("dropout", 0) < 1:
        raise ValueError(f"dropout must be at least 0 and below 1, got {given['dropout']}")


def measured(data_size):
    """{knob: what this course measured at the nearest index size}, as sentences made from the recorded results."""
    kept, answers = load(LESSON, "by_size").values, load(LESSON, "answers").values
    size = min(kept["index"], key=lambda name: abs(math.log(kept["index"][name]["documents"] / data_size)))
    here, whole = kept["index"][size], kept["index"][EVERYTHING]["documents"]
    found = _of_the_index(here, answers[size]) | {"chunk_size": f"{kept['longer']} of {whole:,} documents are too long"}
    note = f" (index of {here['documents']:,})"
    return {knob: sentence + note for knob, sentence in found.items()} | _of_labels(kept["labels"]) | ELSEWHERE


ELSEWHERE = {
    "top_p": "changes nothing at temperature 0",
    "batch_size": "the same vectors, to rounding; speed is lesson 05's subject",
    "max_seq_length": "the checkpoint was released with 256 and cuts the rest (lesson 00)",
}


def _of_the_index(here, answers):
    "Sentences on the knobs that an index size may bear on."
    curve, documents = answers["1"]["curve"], here["documents"]
    formula, width = formulas.temperature(documents), formulas.embedding_dimension(documents)
    right = {count: entry["curve"][0] for count, entry in answers.items() if "curve" in entry}
    right = dict(sorted(right.items(), key=lambda item: int(item[0])))
    narrow = min(here["dimensions"], key=lambda dimension: abs(int(dimension) - width))
    empty = (f"{least} leaves {here['empty'][least]:.0%}" for least in ("0.3", "0.5", "0.7"))
    recall, wide = here["recall"], here["dimensions"]["384"]
    return {
        "temperature": f"{curve[0]:.2f} right at 0, {np.interp(formula, CURVE, curve):.2f} at {formula:.2f}",
        "top_k": f"recall@1/3/10 {recall['1']:.2f}/{recall['3']:.2f}/{recall['10']:.2f}; right answers with "
        f"{'/'.join(right)} documents {'/'.join(f'{value:.2f}' for value in right.values())}",
        "similarity_threshold": ", ".join(empty) + " of the questions without a document",
        "embedding_dim": f"recall@10 {wide:.2f} with 384, {here['dimensions'][narrow]:.2f} with {narrow}",
    }


def _of_labels(strengths):
    "Sentences on the knobs of a trained head, by its labelled texts."
    kept = load(LESSON, "dropout")
    best = np.array(kept.values["loss"]).mean(axis=1).argmin(axis=1)
    rates = {size: kept.settings["rates"][i] for size, i in zip(kept.settings["sizes"], best, strict=True)}
    ridge = ", ".join(f"{value:.4f} for {size}" for size, value in strengths.items())
    return {
        "regularization": f"a ridge head: best {ridge} labelled texts",
        "dropout": f"a head: least log loss at {', '.join(f'{r} for {n}' for n, r in rates.items())} labelled texts",
    }
