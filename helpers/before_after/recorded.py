"""What takes too long for a notebook: `make results` writes it to results/10_the_answer.json."""

from datetime import UTC, datetime
from itertools import combinations

import numpy as np
import torch

from .. import baseline, evaluation
from ..assistant import corpus
from ..assistant.agent import Assistant
from ..course.results import load, recorded
from . import classifier, serving, system

LESSON = "10_the_answer"
PROMPTED_BY = {  # the steps that change what the language model reads, by family; named questions quote nothing
    "described": ("no threshold", "one document", "words", "facts", "quotation"),
    "named": ("no threshold", "one document", "words", "facts"),
}


def context(plan, family):
    """The steps of a plan that change a prompt, as one key: "facts + words", or "the guide's"."""
    chosen = [step for step in PROMPTED_BY[family] if step in plan]
    return " + ".join(chosen) or "the guide's"


@recorded(LESSON, depends_on=[evaluation.ExpectedAnswers, Assistant.prompt, system.Search, system.config_of,
                              system.facts, system.documents_with, system.quotation, system.whole_docstrings,
                              system.found, system.shown, system.generated])  # fmt: skip
def generation(*, questions=150, families=("described", "named"), contexts=None):
    """How likely the language model answers the development questions rightly, by the steps that change its prompt.

    Returns {family: {context: {"guide": with its sampling, "greedy"}}}, each a probability for each question.
    questions: only the first so many. contexts: names of the contexts to compute; all of them if None.
    """
    table = {}
    for family in families:
        asked, steps = corpus.load_questions(family, "development")[:questions], PROMPTED_BY[family]
        for plan in (frozenset(c) for n in range(len(steps) + 1) for c in combinations(steps, n)):
            name = context(plan, family)
            if contexts is None or name in contexts:
                table.setdefault(family, {})[name] = {
                    "guide": _rounded(system.generated(plan, asked)),
                    "greedy": _rounded(system.generated(plan | {"greedy"}, asked)),
                }
    return table


SERVING = [serving.configurations, serving.seconds, serving.shares, serving.search_seconds, system.Search,
           system.Reader, system.whole_docstrings, system.documents_with, system.fields, system.config_of,
           Assistant]  # fmt: skip


@recorded(LESSON, depends_on=SERVING)
def requests(*, questions=12, copies=(1, 4, 16, 64)):
    """What a request costs, one after the other on one thread: times over those of lesson 00's assistant.

    Returns {"seconds": {configuration: for each question, over the median of lesson 00's}, "shares": {configuration:
    {stage: share}}, "search": {copies of the corpus: for each question, over the same median}}.
    """
    torch.set_num_threads(1)
    asked = [question.text for question in corpus.load_questions("described", "development")[:questions]]
    configurations = serving.configurations()
    measured = serving.seconds(configurations, asked)
    reference = np.median(measured["lesson 00: fused"])
    staged = {name: one for name, one in configurations.items() if "guess" not in name}
    return {
        "seconds": {name: _rounded(values / reference, 6) for name, values in measured.items()},
        "shares": {name: _shares(serving.shares(one, asked)) for name, one in staged.items()},
        "search": {str(n): _rounded(serving.search_seconds(n, asked) / reference, 6) for n in copies},
    }


def _shares(shares):
    return {stage: round(share, 4) for stage, share in shares.items()}


# ---- the test questions


REASON = "the final comparison of lesson 10, after the plan was chosen on development questions"


def final_systems(questions, family):
    """Probability of a right answer by each system of the final comparison: {system: float (questions,)}.

    questions: those of a family and split, in their order; the contexts of lesson 00 are kept by split.
    """
    split = "test" if questions == corpus.load_questions(family, "test") else "development"
    contexts = {"lesson 00": "fused", "right document": "right document"}
    return {
        "guide": system.chances(system.GUIDES, questions),
        **{name: baseline.expected(c, family, split).probabilities(0.0) for name, c in contexts.items()},
        "after, generated": system.chances(serving.GENERATED, questions),
        "after": system.chances(system.AFTER, questions),
    }


def ranks(plan, questions):
    """Rank of the right document among the first ten that a plan finds, from 1; 0 if it is not: int (questions,)."""
    hits = system.found(frozenset(plan) & system.SEARCHING, questions) == system.right_documents(questions)[:, None]
    return np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, 0)


@recorded(LESSON, depends_on=[final_systems, ranks, classifier.scored, classifier.fitted, classifier.parts])
def test_opening(*, reason=REASON, seeds=tuple(range(10))):
    """Open the closed test questions and texts, score what is compared, and write down that it happened.

    Each further run is one more opening, appended to the list: a record that hides its repetitions proves nothing.
    Returns {"openings": [{"date", "reason"}], "answers": {family: {system: for each question}}, "ranks": {family:
    {plan: for each question}}, "classifier": {recipe: {metric: [estimate, low, high]}}}.
    """
    closed = evaluation.HeldOut(
        [corpus.load_questions(family, "test") for family in corpus.FAMILIES], "the set of test questions"
    )
    opening = {"date": datetime.now(UTC).date().isoformat(), "reason": reason}
    table = {"openings": [*_openings(), opening], "answers": {}, "ranks": {}}
    for family, questions in zip(corpus.FAMILIES, closed.open(reason), strict=True):
        table["answers"][family] = {n: _rounded(v) for n, v in final_systems(questions, family).items()}
        plans = {"guide": system.GUIDES, "after": system.AFTER}
        table["ranks"][family] = {name: ranks(plan, questions).tolist() for name, plan in plans.items()}
    table["classifier"] = classifier.compared(seeds, "test")
    return table


def _openings():
    "The openings that were recorded before."
    try:
        return load(LESSON, "test_opening").values["openings"]
    except (FileNotFoundError, LookupError):
        return []


def _rounded(values, digits=4):
    return [round(float(value), digits) for value in values]


# ---- reading the record


def generated(plan, family):
    """What `generation` recorded for a plan: float (questions,)."""
    kept = load(LESSON, "generation").values[family][context(plan, family)]
    return np.array(kept["greedy" if "greedy" in plan else "guide"])
