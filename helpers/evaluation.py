"""Measuring: how right, how sure, compared how, and how often a held-out set was opened."""

import ast
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats

from .assistant import cache, models, sampling
from .assistant.agent import LITERAL, first_literal


@dataclass(frozen=True)
class Interval:
    """An estimate and the interval around it, all on the estimate's own scale."""

    estimate: float
    low: float
    high: float
    level: float = 0.95

    def __str__(self):
        return f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}]"


def accuracy(right, level=0.95):
    """Share of right answers with Wilson's interval.

    right: bool array (questions,). Returns an `Interval`. Raises ValueError if it is empty.
    Source: Wilson 1927; Brown, Cai & DasGupta 2001, Interval Estimation for a Binomial Proportion.
    """
    right = _nonempty("right", np.asarray(right, dtype=bool))
    found = stats.binomtest(int(right.sum()), len(right)).proportion_ci(level, method="wilson")
    return Interval(float(right.mean()), float(found.low), float(found.high), level)


def mean(values, level=0.95, resamples=5000, seed=0, strata=None, clusters=None):
    """Mean of any score per question (a probability, a loss) with a bootstrap percentile interval.

    values: float array (questions,), or (runs, questions) where runs, such as training sets and
    seeds, are a sample too: then runs and questions are both resampled. strata: what the design
    fixed, such as a half of unusual answers; each stratum is resampled on its own. clusters:
    questions that are not independent, such as those about one class, share a label and are
    drawn together. Returns an `Interval`. With fewer than about 20 runs or clusters it is too
    narrow (Hesterberg 2015): for a few seeds see `over_seeds`.
    Source: Efron & Tibshirani 1993; for clusters Miller 2024, Adding Error Bars to Evals; for
    runs and questions together Owen 2007, The Pigeonhole Bootstrap.
    """
    values = _nonempty("values", np.asarray(values, dtype=float))
    rows = np.atleast_2d(values)
    labels = [np.zeros(rows.shape[1]) if strata is None else np.asarray(strata)]
    labels.append(np.arange(rows.shape[1]) if clusters is None else np.asarray(clusters))
    for name, label in zip(("strata", "clusters"), labels, strict=True):
        if len(label) != rows.shape[1]:
            raise ValueError(f"{name} must have one label for each of {rows.shape[1]} values, got {len(label)}")
    low, high = _percentiles(_resampled_means(rows, *labels, resamples, seed), level)
    return Interval(float(values.mean()), low, high, level)


def paired_difference(a, b, level=0.95, resamples=5000, seed=0, strata=None, clusters=None):
    """Mean of a − b over the same questions, with a paired bootstrap interval.

    a, b: float or bool arrays (questions,) or (runs, questions), in the same order. strata,
    clusters: see `mean`. Returns an `Interval`; one that excludes 0 speaks for a difference on
    questions (and runs) like these.
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape:
        raise ValueError(f"a and b must score the same questions, got shapes {a.shape} and {b.shape}")
    return mean(a - b, level, resamples, seed, strata, clusters)


def over_seeds(differences, level=0.95):
    """Mean of a few values, such as a paired difference for each seed, with Student's t interval.

    differences: float array (seeds,). For fewer than about 20 values, where a bootstrap's
    percentiles are too narrow. It speaks of other seeds, given these questions and texts.
    Raises ValueError for fewer than two values.
    """
    values = np.asarray(differences, dtype=float)
    if len(values) < 2:
        raise ValueError(f"differences must be at least two values, got {len(values)}")
    half = stats.t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return Interval(float(values.mean()), float(values.mean() - half), float(values.mean() + half), level)


def _resampled_means(values, strata, clusters, resamples, seed):
    "Draw runs, and whole clusters within each stratum; strata keep their weight."
    rng, total, runs = np.random.default_rng(seed), np.zeros(resamples), len(values)
    drawn_runs = rng.multinomial(runs, np.full(runs, 1 / runs), resamples) / runs if runs > 1 else np.ones((1, 1))
    for stratum in np.unique(strata):
        inside = strata == stratum
        _, cluster = np.unique(clusters[inside], return_inverse=True)
        sums, sizes = np.stack([np.bincount(cluster, row[inside]) for row in values]), np.bincount(cluster)
        sums = np.broadcast_to(drawn_runs @ sums, (resamples, len(sizes)))
        drawn = rng.integers(0, len(sizes), (resamples, len(sizes)))
        drawn_sums = np.take_along_axis(sums, drawn, axis=1).sum(axis=1)
        total += drawn_sums / sizes[drawn].sum(axis=1) * inside.mean()
    return total


def _percentiles(samples, level):
    return tuple(float(q) for q in np.quantile(samples, [(1 - level) / 2, (1 + level) / 2]))


def mcnemar(a, b):
    """p-value that two systems are equally often right, from the questions on which they differ.

    a, b: bool arrays (questions,). Exact (binomial) version; 1.0 if they never differ.
    Source: McNemar 1947; Dietterich 1998.
    """
    a, b = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    if a.shape != b.shape:
        raise ValueError(f"a and b must score the same questions, got shapes {a.shape} and {b.shape}")
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    return 1.0 if only_a + only_b == 0 else float(stats.binomtest(only_a, only_a + only_b).pvalue)


def log_loss(probabilities, labels):
    """Mean negative log probability of the true class, in nats.

    probabilities: float array (texts, classes). labels: int array (texts,).
    """
    probabilities, labels = _classified(probabilities, labels)
    return float(-np.log(np.clip(probabilities[np.arange(len(labels)), labels], 1e-12, None)).mean())


def calibration_error(probabilities, labels, bins=10):
    """Expected calibration error: mean distance of confidence from accuracy over equal-width bins.

    probabilities: float array (texts, classes). labels: int array (texts,). Returns a float in [0, 1].
    Source: Naeini et al. 2015; Guo et al. 2017.
    """
    probabilities, labels = _classified(probabilities, labels)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(which, right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def recall_at_k(found, relevant, k):
    """Share of queries whose relevant document is among the first `k` found.

    found: int array (queries, >= k), document ids, best first. relevant: int array (queries,).
    Returns a float in [0, 1]. Raises ValueError if `found` has fewer than `k` columns.
    Source: Manning, Raghavan & Schütze 2008, ch. 8.
    """
    return float(_hits(found, relevant, k).any(axis=1).mean())


def mean_reciprocal_rank(found, relevant):
    """Mean over queries of 1 / rank of the relevant document, 0 where it is not found.

    found: int array (queries, k), best first. relevant: int array (queries,).
    """
    hits = _hits(found, relevant, np.shape(found)[1])
    return float((hits / np.arange(1, hits.shape[1] + 1)).sum(axis=1).mean())


def _hits(found, relevant, k):
    found, relevant = np.asarray(found), np.asarray(relevant)
    if not 1 <= k <= found.shape[1]:
        raise ValueError(f"k must be from 1 to {found.shape[1]}, the documents found per query; got {k}")
    if len(found) != len(relevant):
        raise ValueError(f"found has {len(found)} queries and relevant has {len(relevant)}")
    return found[:, :k] == relevant[:, None]


def _nonempty(name, values):
    if len(values) == 0:
        raise ValueError(f"{name} is empty: there is nothing to average")
    if np.isnan(values).any():
        position = tuple(map(int, np.argwhere(np.isnan(values))[0]))
        raise ValueError(f"{name} contains NaN at position {position[0] if len(position) == 1 else position}")
    return values


def _classified(probabilities, labels):
    probabilities, labels = np.asarray(probabilities, dtype=float), np.asarray(labels)
    if probabilities.ndim != 2 or len(probabilities) != len(labels) or len(labels) == 0:
        shapes = f"{probabilities.shape}, {labels.shape}"
        raise ValueError(f"need probabilities (texts, classes) and as many labels; got {shapes}")
    if labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        raise ValueError(f"labels must be from 0 to {probabilities.shape[1] - 1}, got {labels.min()} to {labels.max()}")
    return probabilities, labels


LANGUAGE_MODEL = next(iter(models.LANGUAGE_MODELS))


class ExpectedAnswers:
    """How likely each question is answered right, exactly, under any temperature and top_p.

    prompts: what the language model reads; each ends in a parameter's name. answers: the
    true literals. An answer is right if the completion is "=", the literal as `repr` writes
    it, and then something that is no part of it: what `agent.first_literal` reads. One
    forward pass a question over prompt and answer gives the logits of every step; the
    product of the steps' probabilities needs no sampling. (Other token sequences spell the
    same text; together they weigh too little to see: the tests compare with real samples.)

    keep: None for the whole vocabulary, or how many of the likeliest tokens to keep one by
    one; the others then count in `TAIL_BINS` bins of like logits: far quicker, and off by
    less than 0.02 for any question, temperature up to 2 and top_p (tested).
    """

    TAIL_BINS = 64

    def __init__(self, language_model, prompts, answers, keep=None):
        self.answers = list(answers)
        for answer in self.answers:
            if first_literal(f"={answer}\n") != answer:
                raise ValueError(f"{answer!r} is not a literal as repr writes it, so no completion could be right")
        if keep is not None and keep < 2:
            raise ValueError(f"keep must be at least 2 tokens, or None for all of them; got {keep}")

        def compute():
            completions = [language_model.tokens(f"={answer}") for answer in self.answers]
            states = cached_states(language_model, list(prompts), completions)
            return self._sorted(language_model, states, completions, keep or language_model.logits(states[0]).shape[1])

        # Sorted logits of the whole vocabulary are too large to keep; they come from the states again.
        depends_on = [LANGUAGE_MODEL, list(prompts), self.answers, keep, self.TAIL_BINS, "sorted 1"]
        kept = compute() if keep is None else cache.arrays("expected", depends_on, compute)
        self.steps, self.tail_sizes = kept["steps"], kept["tail_sizes"].tolist()
        self.logits, self.right, self.ending, self.tail, self.tail_ending = (
            torch.from_numpy(kept[name]) for name in ("logits", "right", "ending", "tail", "tail_ending")
        )
        self.ending_rows = self.ending.any(dim=1).nonzero()[:, 0]  # steps at which the answer can end
        self._largest = self.logits.max(dim=0).values  # of each column
        self._buffers = torch.empty_like(self.logits), torch.empty_like(self.logits)  # fresh memory is slow memory

    def _sorted(self, lm, states, completions, keep):
        """Each step's logits from largest to smallest, and where the tokens that matter stand among them.

        A question with a completion of n tokens has n + 1 steps, each a row of the arrays.
        """
        width = max(map(len, completions)) + 1
        steps = np.full((len(completions), width), -1)  # row of each question's step, -1 where it has none
        rows = 0
        for question, completion in enumerate(completions):
            steps[question, : len(completion) + 1] = range(rows, rows + len(completion) + 1)
            rows += len(completion) + 1
        logits, order = lm.logits(np.concatenate(states)).sort(dim=1, descending=True)
        logits -= logits[:, :1].clone()
        right = torch.full((rows,), -1)  # rank of the answer's next token, -1 where there is none
        ending = torch.zeros(logits.shape, dtype=torch.bool)  # tokens that complete the answer
        rank = torch.empty(logits.shape[1], dtype=torch.long)
        for answer, completion, own in zip(self.answers, completions, steps, strict=True):
            for position, row in enumerate(own[own >= 0]):
                rank[order[row]] = torch.arange(len(rank))
                if position < len(completion):
                    right[row] = rank[completion[position]]
                ending[row, rank[_ending_tokens(lm, answer, lm.text(completion[:position]))]] = True
        right[right >= keep] = -1
        rest = logits[:, keep:].tensor_split(self.TAIL_BINS, dim=1) if keep < logits.shape[1] else ()
        rest_ending = ending[:, keep:].tensor_split(self.TAIL_BINS, dim=1)
        columns = {
            "logits": logits[:, :keep],
            "right": right,
            "ending": ending[:, :keep],
            "tail": torch.stack([part.mean(dim=1) for part in rest], dim=1) if rest else torch.zeros(rows, 0),
            "tail_ending": torch.stack([e.sum(dim=1) for e in rest_ending], dim=1) if rest else torch.zeros(rows, 0),
            "tail_sizes": torch.tensor([part.shape[1] for part in rest]),
        }
        return {"steps": steps} | {name: column.contiguous().numpy() for name, column in columns.items()}

    def probabilities(self, temperature=1.0, top_p=1.0):
        """Probability of a right answer for each question: float64 array (questions,)."""
        sampling.check_settings(temperature, top_p)
        onwards, ending = self._greedy() if temperature == 0 else self._nucleus(temperature, top_p)
        probability, reached = np.zeros(len(self.steps)), np.ones(len(self.steps))
        for rows in self.steps.T:
            here = rows >= 0
            probability[here] += reached[here] * ending[rows[here]]
            reached[here] *= onwards[rows[here]]
        return np.minimum(probability, 1.0)

    def _greedy(self):
        return (self.right == 0).double().numpy(), self.ending[:, 0].double().numpy()

    def _nucleus(self, temperature, top_p):
        "For each step: the probability of the answer's next token, and of all tokens that complete the answer."
        # Logits are sorted, so what is too unlikely to count stands in columns that need no arithmetic.
        columns = int((self._largest > -80 * temperature).sum())
        weights, reached = (buffer[:, :columns] for buffer in self._buffers)
        torch.mul(self.logits[:, :columns], 1 / temperature, out=weights).exp_()
        bins, sizes = torch.exp(self.tail / temperature), torch.tensor(self.tail_sizes)
        tail = (bins * sizes).cumsum(dim=1)
        torch.cumsum(weights, dim=1, out=reached)
        whole = reached[:, -1] + (tail[:, -1] if len(sizes) else 0)
        inside = torch.full((len(weights), 1), columns)
        if top_p < 1:
            cut = (top_p * whole)[:, None]
            inside = torch.searchsorted(reached.contiguous(), cut) + 1  # tokens of the nucleus
            bins = bins * (reached[:, -1:] + tail - bins * sizes < cut)
        total = reached.gather(1, inside.clamp(max=columns) - 1)[:, 0] + (bins * sizes).sum(dim=1)
        onwards = weights.gather(1, self.right.clamp(0, columns - 1)[:, None])[:, 0]
        onwards = onwards * (self.right >= 0) * (self.right < inside[:, 0].clamp(max=columns))
        ending = (bins * self.tail_ending).sum(dim=1)
        rows = self.ending_rows
        counted = self.ending[rows, :columns] & (torch.arange(columns) < inside[rows])
        ending[rows] += (weights[rows] * counted).sum(dim=1)
        return (onwards / total).double().numpy(), (ending / total).double().numpy()

    def accuracy(self, temperature=1.0, top_p=1.0):
        """Expected share of right answers with one sample a question."""
        return float(self.probabilities(temperature, top_p).mean())

    def pass_at_k(self, k, temperature=1.0, top_p=1.0):
        """Expected share of questions that at least one of `k` independent samples gets right."""
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        return float((1 - (1 - self.probabilities(temperature, top_p)) ** k).mean())

    def sample_right(self, samples, temperature=1.0, top_p=1.0, seed=0):
        """What sampling would see: bool array (questions, samples), right or wrong."""
        probabilities = self.probabilities(temperature, top_p)
        return np.random.default_rng(seed).random((len(probabilities), samples)) < probabilities[:, None]


def cached_states(lm, prompts, completions):
    """Hidden states of each prompt and completion, computed once however many sets of questions share them.

    prompts: list of texts. completions: list of token-id lists. Returns what `LanguageModel.states` does.
    """

    def compute(missing):
        return lm.states([lm.tokens(prompts[i]) for i in missing], [completions[i] for i in missing])

    return cache.many("state", [[LANGUAGE_MODEL, *pair] for pair in zip(prompts, completions, strict=True)], compute)


def _ending_tokens(lm, answer, written):
    "Ids of the tokens that, after `written`, complete the answer for good."
    known = vars(lm).setdefault("_ending_tokens", {})
    rest = f"={answer}"[len(written) :]
    kind = "text" if answer[0] in "'\"" else "name" if answer[0].isalpha() else "number"
    if (rest, kind) not in known:
        sample = {"text": "=''", "name": "=None", "number": "=1"}[kind]
        ids = [
            i
            for i, token in enumerate(lm.vocabulary)
            if token.startswith(rest) and (rest or kind != "text") and _ends(sample, kind, token[len(rest) :])
        ]
        known[rest, kind] = torch.tensor(ids, dtype=torch.long)
    return known[rest, kind]


def _ends(sample, kind, following):
    "Does what follows end a literal of this kind?"
    return kind == "text" or (following != "" and LITERAL.match(sample + following) is not None)


def is_right(text, answer):
    """Is a text the literal asked for? Compared as Python values, so 1e-4 is 0.0001, but 1 is not True."""
    try:
        value, truth = ast.literal_eval(text), ast.literal_eval(answer)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # all that literal_eval may raise
        return False
    return type(value) is type(truth) and value == truth


class HeldOut:
    """A held-out set that counts how often it was opened, and says so.

    items: what is held out. name: how it is called in what it prints.
    """

    def __init__(self, items, name="the test set"):
        self._items, self.name, self.openings = tuple(items), name, []

    def __len__(self):
        return len(self._items)

    def open(self, reason):
        """The items. Every opening needs a reason, is recorded in `openings`, and is announced."""
        if not reason or not reason.strip():
            raise ValueError(f"say why {self.name} is opened: the reason is part of the record")
        self.openings.append(reason)
        count = "once" if len(self.openings) == 1 else f"{len(self.openings)} times"
        advice = "" if len(self.openings) == 1 else "; what was chosen by looking at it needs a new one"
        print(f"{self.name} has now been opened {count}: {reason}{advice}")
        return self._items
