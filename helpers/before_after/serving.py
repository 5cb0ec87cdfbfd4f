"""What a request costs: where its time goes, how long it takes beside another's, and what must be in memory."""

import time
from collections import Counter

import numpy as np
from scipy import sparse

from .. import baseline
from ..assistant import Config, corpus, models
from ..assistant.agent import Answer, Assistant, asked_parameter
from . import system

MODEL = ("prompt", "generate")  # stages in which the language model works


def lesson_00():
    """The assistant of lesson 00's baseline: fused search, one document, temperature 0, no lookup."""
    return Assistant(Config(keyword_threshold=system.NO_LOOKUP), library=baseline.library())


class CandidateGuesser:
    """Filters as the assistant after the course does, and then guesses: the commonest default among the candidates."""

    def ask(self, question, seed=0):
        """An `Answer`, as `Assistant.ask` gives it."""
        parameter, kind = system.facts(question)
        documents = corpus.load_documents()
        allowed = np.flatnonzero(system.documents_with(parameter, kind))
        counts = Counter(dict(documents[i].defaults).get(parameter) for i in allowed)
        return Answer(counts.most_common(1)[0][0] if counts else "None", "none")


class NameGuesser:
    """Answers without searching: what a parameter of that name most often defaults to.

    It counts all documents, the one that is asked about too, as a program could; the questions' design leaves that
    one out, and so makes the guess right in exactly half of them.
    """

    def ask(self, question, seed=0):
        """An `Answer`, as `Assistant.ask` gives it."""
        parameter = asked_parameter(question)
        counts = corpus._default_counts()[parameter]
        return Answer(counts.most_common(1)[0][0] if counts else "None", "none")


GENERATED = system.AFTER - {"read"}


def configurations():
    """The assistants of the Pareto front, by name; each has a method `ask(question)`."""
    return {
        "guess by name": NameGuesser(),
        "filter, then guess": CandidateGuesser(),
        "the guide's settings": system.assistant(system.GUIDES),
        "lesson 00: fused": lesson_00(),
        "words, generated": system.assistant(GENERATED - {"facts"}),
        "words and facts, generated": system.assistant(GENERATED),
        "the same, three documents": system.assistant(GENERATED, top_k=3),
        "after: read": system.assistant(system.AFTER),
        "after, vectors too": system.assistant(system.AFTER, method="fused"),
    }


def seconds(asked, questions, repeats=2):
    """Seconds of a request to each assistant: {name: float (questions,)}, the fastest of `repeats`.

    asked: {name: what has a method `ask(question)`}. They take turns question by question, so that a slow moment
    of the machine meets all of them; each is asked another question first, so that nothing is loaded meanwhile.
    """
    found = {name: [] for name in asked}
    for other, question in zip((questions[-1], *questions), questions, strict=False):
        for name, one in asked.items():
            one.ask(other)
            runs = []
            for _ in range(repeats):
                start = time.perf_counter()
                one.ask(question)
                runs.append(time.perf_counter() - start)
            found[name].append(min(runs))
    return {name: np.array(values) for name, values in found.items()}


def shares(asked, questions):
    """Share of each stage in the time of these requests: {stage: float}, summing to 1."""
    total = {}
    for question in questions:
        for stage, seconds in asked.ask(question).seconds.items():
            total[stage] = total.get(stage, 0.0) + seconds
    return {stage: seconds / sum(total.values()) for stage, seconds in total.items()}


def memory():
    """Bytes of the arrays and texts that each part of the assistant keeps, without Python's own: {part: int}."""
    _, postings = system.whole_docstrings()
    return {
        "language model": sum(p.numel() * p.element_size() for p in models.language_model().model.parameters()),
        "encoder": sum(p.numel() * p.element_size() for p in models.encoder().parameters()),
        "vectors": baseline.library().vectors.nbytes,
        "words of whole docstrings": postings.data.nbytes + postings.indices.nbytes + postings.indptr.nbytes,
        "filter": sum(positions.nbytes for part in system.fields() for positions in part.values()),
        "signatures": sum(len(d.name) + len(d.signature) for d in corpus.load_documents()),
    }


def search_seconds(copies, questions, repeats=3):
    """Seconds of the search of the assistant after the course, over so many copies of its corpus: float (questions,).

    The copies are a simulation: they cost what other documents would, and say nothing about what is found.
    """
    vectorizer, postings = system.whole_docstrings()
    grown = sparse.hstack([postings] * copies, format="csr")
    found = []
    for question in questions:
        runs = []
        for _ in range(1 + repeats):
            start = time.perf_counter()
            allowed = np.tile(system.documents_with(*system.facts(question)), copies)
            scores = (vectorizer.transform([question]) @ grown).toarray()[0]
            np.where(allowed, scores, -np.inf).argmax()
            runs.append(time.perf_counter() - start)
        found.append(min(runs[1:]))
    return np.array(found)
