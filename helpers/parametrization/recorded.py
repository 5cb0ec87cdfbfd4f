"""What takes too long for a notebook: `make results` writes it to results/09_parametrization.json.

Each experiment takes its sizes as keywords, so that the lesson can run a slice of it live and compare. All
are on development questions and on labelled texts; no test set is opened.
"""

from functools import lru_cache

import numpy as np
from tqdm.auto import tqdm

from .. import evaluation, training
from ..assistant import corpus, models
from ..assistant.agent import Assistant
from ..course.results import load, recorded
from . import measure

LESSON = "09_parametrization"
TEMPERATURES = (0.0, 0.3, 0.43, 0.5, 0.55, 0.7, 1.0)  # those the guide's formulas, tables and strategies name
CURVE = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5)
TOP_KS = (1, 2, 3, 4, 5)
THRESHOLDS = (0.0, 0.2, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7)
CONFIGURATIONS = {  # the guide's, as far as they act on an answer, and the plainest one
    "guide now: 0.7, k 3, 0.3": {"temperature": 0.7, "top_k": 3, "threshold": 0.3},
    "conservative: 0.3, k 3, 0.6": {"temperature": 0.3, "top_k": 3, "threshold": 0.6},
    "balanced: 0.5, k 5, 0.5": {"temperature": 0.5, "top_k": 5, "threshold": 0.5},
    "formula's 0.55, k 5, none": {"temperature": 0.55, "top_k": 5, "threshold": 0.0},
    "greedy, one document": {"temperature": 0.0, "top_k": 1, "threshold": 0.0},
}
EVERYTHING = "all"  # the index of the whole corpus


def shown_by(cosines, top_k, threshold):
    """How many documents reach the prompt: int (questions,). cosines: (questions, documents), best first."""
    return np.minimum((cosines >= threshold).sum(axis=1), top_k)


def prompts_with(found, counts, questions):
    """The prompt of each question with the first `counts` documents of its row of `found`: a list of texts."""
    documents, assistant = corpus.load_documents(), Assistant()
    return [
        assistant.prompt(question.text, [documents[i] for i in row[:count]])
        for question, row, count in zip(questions, found, counts, strict=True)
    ]


def expected_with(found, counts, questions):
    """`ExpectedAnswers` of these questions, each with the first `counts` documents of its row of `found`."""
    answers = [question.answer for question in questions]
    return evaluation.ExpectedAnswers(
        models.language_model(), prompts_with(found, counts, questions), answers, keep=1024
    )


def prompt_tokens(top_k, questions=50):
    """How many tokens the language model reads with so many documents (dense search): int (questions,)."""
    searched, lm = measure.searches(), models.language_model()
    texts = prompts_with(searched.dense[:questions], [top_k] * questions, searched.questions[:questions])
    return np.array([len(lm.tokens(text)) for text in texts])


@recorded(LESSON, depends_on=[evaluation.ExpectedAnswers, shown_by, expected_with, prompts_with, measure.members,
                              measure.found_in, measure.searches, Assistant.prompt])  # fmt: skip
def answers(*, questions=100, shown=((100, (1, 3)), (1_000, (1, 3, 10)), (EVERYTHING, TOP_KS)), long=(10, 30),
            filtered=0.35):  # fmt: skip
    """How likely each question is answered right, by documents in the index and in the prompt (dense search).

    long: (documents in a long prompt, questions asked with it) for the whole corpus. filtered: a threshold that may
    shorten the long prompts. Returns {index size: {documents in the prompt: {"right": for each question, at each of
    `TEMPERATURES`, None where not asked, "curve": accuracy at each of `CURVE`, "pass@5": the same}}}; the curves
    only where all questions were asked.
    """
    searched, table = measure.searches(), {}
    asked = searched.questions[:questions]
    for size, counts in shown:
        found = measure.found_in(searched, searched.documents if size == EVERYTHING else size)[:questions]
        rows = {count: np.arange(questions) for count in counts}
        if size == EVERYTHING:
            fewer = min(long[1], questions)
            rows[long[0]] = np.arange(fewer)
            passing = shown_by(searched.cosines[:fewer], long[0], filtered)
            for count in set(passing.tolist()) - {0, long[0], *counts}:
                rows[count] = np.flatnonzero(passing == count)
        for count, chosen in tqdm(rows.items(), f"{size} documents", leave=False):
            expected = expected_with(found[chosen], [count] * len(chosen), [asked[i] for i in chosen])
            right = [expected.probabilities(temperature) for temperature in TEMPERATURES]
            kept = [None] * questions
            for question, values in zip(chosen, np.transpose(right), strict=True):
                kept[question] = _rounded(values, 3)
            entry = {"right": kept}
            if len(chosen) == questions:
                entry["curve"] = _rounded([expected.accuracy(temperature) for temperature in CURVE])
                entry["pass@5"] = _rounded([expected.pass_at_k(5, max(t, 0.05)) for t in CURVE])
            table.setdefault(str(size), {})[str(count)] = entry
    return table


@recorded(
    LESSON, depends_on=[evaluation.ExpectedAnswers, expected_with, prompts_with, measure.searches, Assistant.prompt]
)
def positions(*, questions=30, distractors=(0, 4)):
    """Is the question still answered if the right document stands among wrong ones, first, in the middle or last?

    The wrong ones are what dense search ranks highest. Returns {"distractors, place": probability of a right
    answer at temperature 0 for each question}.
    """
    searched, table = measure.searches(), {}
    asked = searched.questions[:questions]
    for wrong in distractors:
        others = np.array([
            order[order != right][:wrong]
            for order, right in zip(searched.dense[:questions], searched.right[:questions], strict=True)
        ])  # fmt: skip
        for place, before in {"first": 0, "middle": wrong // 2, "last": wrong}.items() if wrong else [("alone", 0)]:
            found = np.insert(others, before, searched.right[:questions], axis=1)
            expected = expected_with(found, [wrong + 1] * questions, asked)
            table[f"{wrong}, {place}"] = _rounded(expected.probabilities(0.0), 3)
    return table


@recorded(LESSON, depends_on=[measure.members, measure.found_in, measure.ranks, measure.needed_top_k, measure.projected,
                              measure.recall_with, measure.strengths_by_size, measure.ridge_path, measure.lowest,
                              measure.labelled, measure.two_parts, measure.searches])  # fmt: skip
def by_size(*, sizes=(100, 1_000, EVERYTHING), labels=(100, 1_000, 1_900), dimensions=(32, 100, 248, 384),
            seeds=tuple(range(5))):  # fmt: skip
    """What one search an index size tells: recall@k, the k needed, questions left empty, recall@10 by dimension.

    Returns {"index": {size: {"documents", "recall": {k}, "needed": {share}, "empty": {threshold}, "dimensions":
    {d}}}, "labels": {labelled texts: ridge's best λ}, "longer": documents longer than the encoder reads}.
    """
    searched, index = measure.searches(), {}
    vectors = {dimension: measure.projected(dimension) for dimension in dimensions}
    for size in sizes:
        documents = searched.documents if size == EVERYTHING else size
        found = measure.ranks(searched, documents, seeds)
        best = [_best_cosine(searched, documents, seed) for seed in seeds]
        index[str(size)] = {
            "documents": documents,
            "recall": {str(k): _rounded([(found <= k).mean()])[0] for k in (*TOP_KS, 10, 26)},
            "needed": {str(share): measure.needed_top_k(found, share) for share in (0.5, 0.8, 0.9)},
            "empty": {str(least): _rounded([np.mean([b < least for b in best])])[0] for least in THRESHOLDS},
            "dimensions": {
                str(dimension): _rounded([measure.recall_with(*both, (documents,), seeds=seeds)[documents].mean()])[0]
                for dimension, both in vectors.items()
            },
        }
    paths = measure.strengths_by_size(labels)[..., 0].mean(axis=1)
    best_strength = {str(n): measure.lowest(measure.STRENGTHS, path) for n, path in zip(labels, paths, strict=True)}
    longer = int(sum(np.array(models.token_counts([d.text for d in corpus.load_documents()])) > 256))
    return {"index": index, "labels": best_strength, "longer": longer}


def _best_cosine(searched, documents, seed):
    "The highest cosine within each question's index: (questions,)."
    inside = np.take_along_axis(measure.members(searched, documents, seed), searched.dense, axis=1)
    return searched.cosines[np.arange(len(inside)), inside.argmax(axis=1)]


@recorded(LESSON, depends_on=[measure.drawn_heads, measure.labelled, measure.two_parts, training])
def dropout(*, sizes=(100, 200, 400, 800, 1_600), rates=(0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
            seeds=tuple(range(8))):  # fmt: skip
    """A head with each dropout rate: {"loss", "best loss", "accuracy"}, each (sizes, seeds, rates), on held-out texts.

    "best loss" is that of each run's best epoch, as early stopping would keep it; the others are of the last one.
    """
    curves = measure.drawn_heads(sizes, rates, seeds)
    kept = {"loss": curves[..., -1, 0], "best loss": curves[..., 0].min(axis=-1), "accuracy": curves[..., -1, 1]}
    return {name: np.round(values, 4).tolist() for name, values in kept.items()}


@recorded(LESSON, depends_on=[measure.by_split, measure.by_nested_folds, measure._by_folds, measure._folds,
                              measure.ridge_path, measure.labelled, measure.two_parts])  # fmt: skip
def protocols(*, sizes=(100, 1_000), seeds=tuple(range(20))):
    """70/15/15 and nested five-fold cross-validation with so many labelled texts, against other texts.

    Returns {size: {protocol: {"estimate", "true": accuracy of ridge refitted on all of the texts with the λ that
    the protocol chose, "λ"}}}, each with a value a seed.
    """
    x, y, groups, classes = measure.labelled()
    table, strengths = {}, measure.STRENGTHS[10:29:3]
    for size in tqdm(sizes, "sizes", leave=False):
        for name, protocol in (("70/15/15", measure.by_split), ("nested 5-fold", measure.by_nested_folds)):
            rows = []
            for seed in seeds:
                pool, held = measure.two_parts(groups, y, seed)
                own = np.random.default_rng(seed).permutation(pool)[:size]
                chosen, estimate = protocol(x[own], y[own], groups[own], classes, strengths, seed)
                true = measure.ridge_path(x[own], y[own], x[held], y[held], classes, [chosen])[0, 1]
                rows.append((estimate, true, chosen))
            columns = map(_rounded, zip(*rows, strict=True))
            table.setdefault(str(size), {})[name] = dict(zip(("estimate", "true", "λ"), columns, strict=True))
    return table


def _rounded(values, digits=4):
    return [round(float(value), digits) for value in values]


# ---- reading the record


class Answers:
    """The record of `answers`, asked by settings.

    `right(temperature, top_k, threshold)` gives the probability of a right answer for each question.
    """

    def __init__(self, values=None):
        self.values = load(LESSON, "answers").values if values is None else values
        self.questions = len(next(iter(self.values[EVERYTHING].values()))["right"])
        searched = measure.searches()
        self.cosines = searched.cosines[: self.questions]
        self.clusters = searched.clusters[: self.questions]
        self.usual = np.array([question.usual for question in searched.questions[: self.questions]])
        self._kept = {
            int(count): np.array([row or [np.nan] * len(TEMPERATURES) for row in entry["right"]])
            for count, entry in self.values[EVERYTHING].items()
        }

    @property
    def design(self):
        """What `evaluation.mean` must know of these questions."""
        return {"strata": self.usual, "clusters": self.clusters}

    def right(self, temperature=0.0, top_k=1, threshold=0.0, asked=None):
        """Float (questions,). A question to which no document passes the threshold is not answered: 0.

        asked: only the first so many questions; long prompts were not recorded for all. Raises ValueError for a
        setting that was not recorded.
        """
        if temperature not in TEMPERATURES:
            raise ValueError(f"temperature must be one of {', '.join(map(str, TEMPERATURES))}; got {temperature}")
        counts = shown_by(self.cosines[:asked], top_k, threshold)
        found, column = np.zeros(len(counts)), TEMPERATURES.index(temperature)
        for count in set(counts.tolist()) - {0}:
            values = self._kept.get(count, np.full((self.questions, len(TEMPERATURES)), np.nan))
            found[counts == count] = values[: len(counts), column][counts == count]
        if np.isnan(found).any():
            raise ValueError(f"top_k {top_k} with threshold {threshold} needs a prompt that was not recorded")
        return found

    def by_index_size(self, size, top_k, temperature=0.0):
        """The same in a smaller index (100 or 1,000 documents), without a threshold."""
        return np.array(self.values[str(size)][str(top_k)]["right"])[:, TEMPERATURES.index(temperature)]


@lru_cache(maxsize=1)
def recorded_answers():
    """The `Answers` of this course's record."""
    return Answers()
