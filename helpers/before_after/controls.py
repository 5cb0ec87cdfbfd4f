"""Is it the system, or the form of the questions? Controls for the assistant after the course."""

import re
from dataclasses import replace

import numpy as np

from ..assistant import corpus
from . import serving, system

ANOTHER = {"class": "function", "function": "method", "method": "class"}
FORMS = ("as asked", "kind left out", "another kind", "parameter misspelt")


def reworded(questions, form):
    """The questions in another form: a tuple of `corpus.Question`, what is right unchanged.

    form: "kind left out" (says "one" for class, function or method), "another kind" (names a wrong one), or
    "parameter misspelt" (its last letter twice). Raises ValueError for another form.
    """
    if form not in FORMS:
        raise ValueError(f"form must be one of {', '.join(FORMS)}; got {form!r}")

    def text(question):
        if form == "parameter misspelt":
            return question.text.replace(f"of {question.parameter} in", f"of {misspelt(question.parameter)} in", 1)
        kind = re.search(r"(?<=in the )(class|function|method)(?= of which)", question.text)
        if kind is None or form == "as asked":
            return question.text
        said = ANOTHER[kind[0]] if form == "another kind" else "one"
        return question.text[: kind.start()] + said + question.text[kind.end() :]

    return tuple(replace(question, text=text(question)) for question in questions)


def misspelt(parameter):
    """A name as a hurried user types it: its last letter twice."""
    return parameter + parameter[-1]


def guessed(questions):
    """What is right after the filter without a search: {"commonest candidate", "random candidate": float (questions,)}.

    The first takes the commonest default among the documents that pass the filter, the second the default of one of
    them drawn at random, as its expected share.
    """
    guesser, documents = serving.CandidateGuesser(), corpus.load_documents()
    common, drawn = [], []
    for question in questions:
        parameter, kind = system.facts(question.text)
        allowed = np.flatnonzero(system.documents_with(parameter, kind))
        defaults = [dict(documents[i].defaults).get(parameter) for i in allowed]
        common.append(guesser.ask(question.text).text == question.answer)
        drawn.append(np.mean([default == question.answer for default in defaults]) if defaults else 0.0)
    return {"commonest candidate": np.array(common, float), "random candidate": np.array(drawn)}


def usual_share(every=10):
    """How often the usual default of a parameter's name is right over all parameters of every tenth document.

    The course's questions are balanced to one half; these are as the libraries have them.
    """
    chosen = corpus.load_documents()[::every]
    return float(np.mean([corpus.usual_default(p, d.name) == default for d in chosen for p, default in d.defaults]))
