"""What the hints can and cannot do, measured on typed answers that neither phrases nor threshold were made with.

`hint_pairs.tsv` is frozen: it was written apart from the phrases and the code of the hints, and nothing is chosen on
it. For one point of each question it holds an answer of each kind:

    strong      covers the point                        terse      covers it in a few words
    partial     half covers it                          off-topic  answers the question, but not this point
    wrong       contradicts the point, fluently; where the note says "negation", it denies it in plain words

`hint_development.tsv` is what the threshold was chosen on: "covers" and "beside", in the sense of strong and off-topic.
"""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from ... import evaluation, plots
from ...assistant import models
from . import bank, hints

FROZEN = Path(__file__).with_name("hint_pairs.tsv")
DEVELOPMENT = Path(__file__).with_name("hint_development.tsv")
KINDS = ("strong", "partial", "wrong", "off-topic", "terse")
GRID = np.round(np.arange(0.2, 0.8, 0.025), 3)


@dataclass(frozen=True)
class Pairs:
    """Point–answer pairs, in columns of the same length."""

    questions: np.ndarray  # ids: what is resampled
    points: np.ndarray
    kinds: np.ndarray
    answers: tuple
    notes: np.ndarray

    def __len__(self):
        return len(self.answers)


def load_pairs(path=FROZEN):
    """Read pairs. Raises ValueError for a line whose question or point the bank has not."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    known = {(question.id, point.id) for question in bank.load() for point in question.points}
    for number, row in enumerate(rows, start=2):
        if (row["question"], row["point"]) not in known:
            place = f"{Path(path).name}, line {number}"
            raise ValueError(f"{place}: the bank has no point {row['point']!r} of {row['question']!r}")
    columns = {name: np.array([row.get(name) or "" for row in rows]) for name in ("question", "point", "kind", "note")}
    answers = tuple(row["answer"] for row in rows)
    return Pairs(columns["question"], columns["point"], columns["kind"], answers, columns["note"])


def points_of(pairs):
    """The (question, point) that the pairs are about, as a set."""
    return set(zip(map(str, pairs.questions), map(str, pairs.points), strict=True))


def similarities(pairs, shift=0, phrases=True):
    """What a hint compares with its threshold: for each pair the cosine of point and closest sentence.

    shift: 0 for each answer beside its own point; n pairs it with the point of the n-th question after its own, to
    which it says nothing. phrases: False compares with the point's text alone. Returns a float array (pairs,).
    """
    names = list(dict.fromkeys(pairs.questions))
    others = dict(zip(names, np.roll(names, -shift), strict=True))
    point_of = dict(zip(pairs.questions, pairs.points, strict=True))
    found = []
    for question, point, said in zip(pairs.questions, pairs.points, _said(pairs), strict=True):
        other = others[question]
        references = _references(other, point if shift == 0 else point_of[other])
        found.append(_closest(said, references if phrases else references[:1]))
    return np.array(found)


def siblings(pairs, kind="strong"):
    """The answers of a kind beside every *other* point of their own question: (similarities, questions).

    An answer may touch such a point, so the share mentioned is an upper figure for false finds.
    """
    found, questions = [], []
    for question, point, of, said in zip(pairs.questions, pairs.points, pairs.kinds, _said(pairs), strict=True):
        for other in bank.load()[question].points if of == kind else ():
            if other.id != point:
                found.append(_closest(said, _references(question, other.id)))
                questions.append(question)
    return np.array(found), np.array(questions)


def lengthened(pairs, most=5):
    """Off-topic answers made longer by those of the same topic's other questions: (similarities, sentences).

    Both are arrays (answers, most): with one answer, two of them joined, and so on. None covers the point by intent.
    """
    chosen = np.flatnonzero(pairs.kinds == "off-topic")
    said, topics = _said(pairs), np.array([bank.load()[question].topic for question in pairs.questions])
    similarity, sentences = [], []
    for i in chosen:
        references = _references(pairs.questions[i], pairs.points[i])
        same = [j for j in chosen if topics[j] == topics[i] and pairs.questions[j] != pairs.questions[i]]
        joined = [i, *same][:most]
        if len(joined) < most:
            raise ValueError(f"most: {most} answers are asked for, and the topic {topics[i]!r} has {len(joined)}")
        similarity.append(np.maximum.accumulate([_closest(said[j], references) for j in joined]))
        sentences.append(np.cumsum([len(said[j]) for j in joined]))
    return np.array(similarity), np.array(sentences)


def claims_as_answers(shift=0):
    """The bank's known-wrong claims, each typed as an answer: the largest similarity to any point of its question.

    shift: n takes the points of the n-th question after its own. Returns (similarities, questions).
    """
    asked = list(bank.load())
    found, questions = [], []
    for position, question in enumerate(asked):
        points = np.concatenate(hints.references(asked[(position + shift) % len(asked)])[0])
        for claim in hints.references(question)[1]:
            found.append(_closest(claim, points))
            questions.append(question.id)
    return np.array(found), np.array(questions)


def _said(pairs):
    "The vectors of every answer's sentences: a list of float32 (sentences, 384). Kept on disk, too."
    pieces = [hints.sentences(answer) for answer in pairs.answers]
    vectors = models.embed([sentence for each in pieces for sentence in each])
    return np.split(vectors, np.cumsum([len(each) for each in pieces])[:-1])


def _references(question, point):
    asked = bank.load()[question]
    return hints.references(asked)[0][[p.id for p in asked.points].index(point)]


def _closest(said, references):
    return float((said @ references.T).max())


def shared_words(pairs, phrases=True):
    """The baseline without any model: the share of a point's words that the answer holds, best of text and phrases.

    Function words are left out (scikit-learn's list). phrases: False compares with the point's text alone.
    Returns a float array (pairs,).
    """
    asked = {(question.id, point.id): point for question in bank.load() for point in question.points}
    found = []
    for question, point, answer in zip(pairs.questions, pairs.points, pairs.answers, strict=True):
        point, said = asked[question, point], _words(answer)
        texts = (point.text, *point.phrases) if phrases else (point.text,)
        found.append(max(len(_words(text) & said) / max(1, len(_words(text))) for text in texts))
    return np.array(found)


def _words(text):
    return set(re.findall(r"[a-z0-9]+", text.lower())) - ENGLISH_STOP_WORDS


def separation(first, second, questions, minus=None, resamples=2000, seed=0):
    """Chance that a random one of `first` scores higher than a random one of `second`: the AUC, with its interval.

    first, second: float arrays (pairs,), both in the order of `questions`, labels that are drawn with all that is
    theirs. minus: another such (first, second), whose AUC on the same drawn questions is subtracted.
    1 separates perfectly, 0.5 is a coin, below 0.5 the second kind scores higher. Returns an `evaluation.Interval`.
    """
    names, cluster = np.unique(questions, return_inverse=True)
    wins = _wins(first, second) - (_wins(*minus) if minus is not None else 0)
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), resamples)
    weights = drawn[:, cluster]
    samples = np.einsum("ri,ij,rj->r", weights, wins, weights, optimize=True) / weights.sum(axis=1) ** 2
    low, high = np.quantile(samples, [0.025, 0.975])
    return evaluation.Interval(float(wins.mean()), float(low), float(high))


def _wins(first, second):
    return (first[:, None] > second[None, :]) + 0.5 * (first[:, None] == second[None, :])


def mentioned(similarity, questions, threshold=hints.THRESHOLD):
    """Share of answers that the hints call "mentioned", with an interval over questions."""
    return evaluation.mean(similarity >= threshold, clusters=questions)


def groups(pairs):
    """{kind: positions among the points}, the wrong answers in two: "wrong: denial" and "wrong: other".

    Raises ValueError unless every kind has the same points in the same order.
    """
    orders = {kind: list(zip(*(column[pairs.kinds == kind] for column in (pairs.questions, pairs.points)), strict=True))
              for kind in KINDS}  # fmt: skip
    if any(order != orders["strong"] for order in orders.values()):
        raise ValueError("pairs: every kind must have the same points in the same order")
    every = np.arange(len(orders["strong"]))
    denial = pairs.notes[pairs.kinds == "wrong"] == "negation"
    found = {}
    for kind in KINDS:
        split = {"wrong: denial": every[denial], "wrong: other": every[~denial]}
        found |= split if kind == "wrong" else {kind: every}
    return found


def by_group(pairs, scores):
    """{kind as in `groups`: float array}. scores: float array (pairs,)."""
    return {name: scores[pairs.kinds == name.partition(":")[0]][chosen] for name, chosen in groups(pairs).items()}


def against_strong(pairs, scores, threshold=hints.THRESHOLD):
    """What the strong answers are told apart from, and how often each kind is called mentioned.

    Returns {kind: {"strong is higher: AUC": …, "on the same point": …, "called mentioned": …}} of intervals.
    """
    strong, names = scores[pairs.kinds == "strong"], pairs.questions[pairs.kinds == "strong"]
    rows = {}
    for kind, chosen in groups(pairs).items():
        values = by_group(pairs, scores)[kind]
        other = kind != "strong"
        rows[kind] = {
            "strong is higher: AUC": separation(strong[chosen], values, names[chosen]) if other else "",
            "on the same point": evaluation.mean(strong[chosen] > values, clusters=names[chosen]) if other else "",
            "called mentioned": mentioned(values, names[chosen], threshold),
        }
    return rows


def encoder_and_words(pairs):
    """AUC of the encoder and of shared words, and their difference, with and without the bank's phrases.

    Returns {(compared with, contrast): {"encoder": …, "shared words": …, "encoder minus words": …}}.
    """
    names, chosen = pairs.questions[pairs.kinds == "strong"], groups(pairs)
    rows = {}
    for texts, phrases in (("text and phrases", True), ("text alone", False)):
        scored = [by_group(pairs, scores(pairs, phrases=phrases)) for scores in (similarities, shared_words)]
        for first, second in (("strong", "off-topic"), ("terse", "off-topic"), ("strong", "wrong: denial")):
            encoder, words = ((score[first][chosen[second]], score[second]) for score in scored)
            of = names[chosen[second]]
            rows[texts, f"{first} over {second}"] = {
                "encoder": separation(*encoder, of),
                "shared words": separation(*words, of),
                "encoder minus words": separation(*encoder, of, minus=words),
            }
    return rows


def best_threshold(similarity, covers, grid=GRID):
    """The threshold with the largest share of covering answers found minus share of others called "mentioned".

    Of equally good ones the highest: it flatters least.
    """
    similarity, covers = np.asarray(similarity), np.asarray(covers, dtype=bool)
    found = np.array([(similarity[covers] >= t).mean() - (similarity[~covers] >= t).mean() for t in grid])
    return float(grid[np.flatnonzero(np.isclose(found, found.max()))[-1]])


def distribution(groups, title, threshold=hints.THRESHOLD):
    """Figure of the similarities by kind of answer: a dot an answer, the bar is the median.

    groups: {name: float array}.
    """
    made, axis = plots.figure(title, width=9, height=1.2 + 0.6 * len(groups))
    rng = np.random.default_rng(0)
    with mpl.rc_context(plots.STYLE):
        axis.axvline(threshold, color="0.3", linestyle="--", linewidth=1.5)
        axis.text(threshold, -0.62, ' "mentioned" from here', fontsize=11, va="bottom")
        for row, (values, colour) in enumerate(zip(groups.values(), plots.COLOURS, strict=False)):
            axis.scatter(values, row + rng.uniform(-0.25, 0.25, len(values)), s=18, alpha=0.5, color=colour)
            axis.plot([np.median(values)] * 2, [row - 0.35, row + 0.35], color="black", linewidth=3)
        axis.set_yticks(range(len(groups)), list(groups))
        axis.invert_yaxis()
        axis.set_xlabel("cosine of the point and the closest sentence")
    return made
