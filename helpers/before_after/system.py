"""The assistant under the guide's settings, and with any of seven steps that the lessons led to.

A *plan* is a set of names of steps. The empty plan is the guide's configuration, `AFTER` the assistant after the
course, with six of them. Every plan is a real assistant (`assistant(plan)`), and can be scored exactly on many
questions at once (`chances`).
"""

import re
from collections import defaultdict
from dataclasses import replace
from functools import lru_cache

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from .. import baseline, evaluation
from ..assistant import corpus, models, retrieval
from ..assistant.agent import Assistant, asked_parameter
from ..assistant.config import GUIDE

STEPS = {  # in the order in which the lessons suggest them
    "greedy": "temperature 0 instead of 0.7",
    "no threshold": "a threshold of 0 instead of 0.3",
    "one document": "one document instead of three",
    "words": "words of the whole docstring instead of vectors of its head",
    "facts": "only documents that have the parameter and the kind that were asked for",
    "read": "read the default from the signature instead of generating it",
    "quotation": "search with the quoted description alone",
}
GUIDES, ALL = frozenset(), frozenset(STEPS)
AFTER = ALL - {"quotation"}  # chosen on development questions: see the lesson
SEARCHING = frozenset({"words", "facts", "quotation"})  # the steps that change what is found
NO_LOOKUP = 4  # keywords, of three that there are


def checked(plan):
    """The plan as a frozenset. Raises ValueError naming a step that does not exist."""
    unknown = sorted(set(plan) - set(STEPS))
    if unknown:
        raise ValueError(f"plan has the unknown step {unknown[0]!r}; the steps are {', '.join(STEPS)}")
    return frozenset(plan)


def config_of(plan, **changes):
    """The `Config` of a plan: the guide's, with what the plan's steps change, and with `changes` on top.

    Pieces are of 256 word pieces, not the guide's 512: only two documents are longer.
    """
    plan, changed = checked(plan), {"max_seq_length": 256, "chunk_size": 256, "max_tokens": 64}
    if "greedy" in plan:
        changed |= {"temperature": 0.0, "top_p": 1.0}
    if "no threshold" in plan:
        changed |= {"similarity_threshold": 0.0}
    if "one document" in plan:
        changed |= {"top_k": 1}
    if "words" in plan:
        changed |= {"method": "lexical"}
    changed |= {"keyword_threshold": 3 if "read" in plan else NO_LOOKUP}
    return replace(GUIDE, **(changed | changes))


def assistant(plan, **changes):
    """The `Assistant` of a plan. changes: fields of its `Config`, such as method="fused"."""
    plan, config = checked(plan), config_of(plan, **changes)
    made = Reader if "read" in plan else Assistant

    def embed(questions):
        return models.embed(_queries(plan, questions), keep=False)

    return made(config, library=Search(plan), embed=embed)


# ---- searching


@lru_cache(maxsize=1)
def whole_docstrings():
    """(TF-IDF vectorizer, postings) of name, signature and the docstring without its held-out sentence.

    postings: sparse float (words, documents), so that a query reads the rows of its own words only.
    """
    vectorizer = TfidfVectorizer(analyzer=retrieval.words, sublinear_tf=True)
    weights = vectorizer.fit_transform([f"{d.text}\n{d.body}" for d in corpus.load_documents()])
    return vectorizer, weights.T.tocsr()


QUOTED = re.compile(r'"([^"]+)"')
KIND = re.compile(r"\b(?:in|of|for) (?:the|a) (class|function|method)\b")  # `method` alone is a parameter as well


def quotation(question):
    """What a question quotes as a description, or the whole question if it quotes nothing."""
    found = QUOTED.search(question)
    return found[1] if found else question


def facts(question):
    """What a question states as a fact: (parameter, kind), each None where it does not say."""
    kind = KIND.search(QUOTED.sub("", question))
    return asked_parameter(question), kind[1] if kind else None


@lru_cache(maxsize=1)
def fields():
    """The index behind the filter: ({parameter: int array of documents with a default for it}, {kind: bool mask})."""
    documents, positions = corpus.load_documents(), defaultdict(list)
    for position, document in enumerate(documents):
        for parameter, _ in document.defaults:
            positions[parameter].append(position)
    kinds = {kind: np.array([d.kind == kind for d in documents]) for kind in ("class", "function", "method")}
    return {parameter: np.array(own) for parameter, own in positions.items()}, kinds


def documents_with(parameter, kind):
    """Which documents have a default for this parameter, and are of this kind: bool (documents,). None: any."""
    parameters, kinds = fields()
    allowed = np.full(len(corpus.load_documents()), parameter is None)
    if parameter in parameters:
        allowed[parameters[parameter]] = True
    return allowed & kinds[kind] if kind else allowed


def _queries(plan, questions):
    return [quotation(question) for question in questions] if "quotation" in plan else list(questions)


class Search:
    """What a plan searches, in place of `retrieval.Library`; over the whole corpus.

    If no document fits the facts that a question states, they are ignored: they may be misspelt.
    """

    def __init__(self, plan):
        self.plan, self.documents = checked(plan), baseline.library().documents

    def search(self, questions, k=10, method=None, threshold=-1.0, vectors=None):
        """The `k` best documents for each question: a `retrieval.Found`. vectors: of the queries, if at hand.

        method: "lexical" (of whole docstrings), "dense" (of their heads) or "fused"; the plan's if None.
        """
        method = method or ("lexical" if "words" in self.plan else "dense")
        if method == "fused":
            depth = retrieval.FUSION_DEPTH
            both = [self.search(questions, depth, one, threshold, vectors).documents for one in ("lexical", "dense")]
            return retrieval.fuse(both, k)
        scores = self._scores(_queries(self.plan, questions), method, vectors)
        if "facts" in self.plan:
            allowed = np.stack([documents_with(*facts(question)) for question in questions])
            scores = np.where(allowed | ~allowed.any(axis=1, keepdims=True), scores, -np.inf)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        best = np.take_along_axis(scores, order, axis=1)
        return retrieval.Found(np.where((best >= threshold) & (best > -np.inf), order, -1), best)

    def _scores(self, queries, method, vectors):
        "Cosines: float (queries, documents)."
        if method == "lexical":
            vectorizer, postings = whole_docstrings()
            return (vectorizer.transform(queries) @ postings).toarray()
        if method != "dense":
            raise ValueError(f"method must be lexical, dense or fused, got {method!r}")
        library = baseline.library()
        return library._per_document(library._cosines(queries, vectors))


class Reader(Assistant):
    """An assistant that reads an exact fact where it stands, and asks the language model only for what is left.

    A question that names its object goes to the signature lookup; for another one it searches, and reads the
    signature of the first document found that has a default for the parameter.
    """

    def _looked_up(self, question, notes):
        named = super()._looked_up(question, notes)
        parameter = asked_parameter(question)
        if named or parameter is None:
            return named
        return read_off(parameter, [self._by_name[source.name] for source in self.retrieve([question])[0]])


def read_off(parameter, documents):
    """(repr of the default, name of the document) of the first document that has one for the parameter, or None."""
    for document in documents:
        default = dict(document.defaults).get(parameter)
        if default is not None:
            return default, document.name
    return None


# ---- scoring many questions at once


@lru_cache(maxsize=64)
def found(plan, questions, k=10, threshold=-np.inf, method=None):
    """Documents that a plan's search finds: int (questions, k), best first, -1 where fewer pass the threshold.

    plan: frozenset of steps. questions: tuple of `corpus.Question`. method: see `Search.search`.
    """
    texts = [question.text for question in questions]
    method = method or ("lexical" if "words" in plan else "dense")
    vectors = None if method == "lexical" else models.embed(_queries(plan, texts))
    return Search(plan).search(texts, k, method, threshold, vectors).documents


def right_documents(questions):
    """Position of the document that answers each question: int (questions,)."""
    place = {document.name: i for i, document in enumerate(baseline.library().documents)}
    return np.array([place[question.source] for question in questions])


def shown(plan, questions, **changes):
    """The documents in each question's prompt, best first: a list of lists of `corpus.Document`."""
    config, documents = config_of(plan, **changes), baseline.library().documents
    # A step that does not touch the search finds the same.
    rows = found(checked(plan) & SEARCHING, questions, config.top_k, config.similarity_threshold, config.method)
    return [[documents[i] for i in row if i >= 0] for row in rows]


def generated(plan, questions, **changes):
    """Probability that the language model writes the right answer, given a plan's prompts: float (questions,).

    It is 0 where no document passes the threshold, since the assistant then says that it does not know.
    """
    config, writer, given = config_of(plan, **changes), Assistant(), shown(plan, questions, **changes)
    rows, chances = [i for i, documents in enumerate(given) if documents], np.zeros(len(questions))
    if rows:
        prompts = [writer.prompt(questions[i].text, given[i]) for i in rows]
        answers = [questions[i].answer for i in rows]
        expected = evaluation.ExpectedAnswers(models.language_model(), prompts, answers, keep=1024)
        chances[rows] = expected.probabilities(config.temperature, config.top_p)
    return chances


def read(plan, questions, **changes):
    """What a plan's assistant reads off a signature: float (questions,), 1 right, 0 wrong, NaN if there is none.

    Questions that name their object are looked up, as `Reader` does.
    """
    scores, named = [], looked_up(questions)
    for question, known, documents in zip(questions, named, shown(plan, questions, **changes), strict=True):
        answer = known or read_off(asked_parameter(question.text), documents)
        scores.append(np.nan if answer is None else float(answer[0] == question.answer))
    return np.array(scores)


@lru_cache(maxsize=8)
def looked_up(questions):
    """What the signature lookup says to each question, (default, name of its object), or None: a tuple."""
    lookup = Assistant(config_of(ALL), library=Search(ALL))
    return tuple(lookup._looked_up(question.text, []) for question in questions)


def overlaid(written, read):
    """What was read, and what the language model wrote where there was nothing to read (NaN): float (questions,)."""
    return np.where(np.isnan(read), written, read)


def chances(plan, questions, **changes):
    """Probability that a plan's assistant answers rightly: float (questions,). Exact, without sampling.

    Generates only for the questions that leave nothing to read. changes: fields of the plan's `Config`.
    """
    if "read" not in checked(plan):
        return generated(plan, questions, **changes)
    known = read(plan, questions, **changes)
    left = tuple(question for question, value in zip(questions, known, strict=True) if np.isnan(value))
    if left:
        known[np.isnan(known)] = generated(plan, left, **changes)
    return known
