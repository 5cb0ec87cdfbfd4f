"""What the assistant scores before anybody improves it, and what it must beat.

A *context* is what the language model gets to read beside the question:

    closed book      nothing
    lexical, dense, fused    the document that this search ranks first
    right document   the one that holds the answer

The states of the language model are computed once for each prompt and kept (`warm`).
"""

from functools import cache, lru_cache

import numpy as np

from .assistant import corpus, models, retrieval
from .assistant.agent import Assistant
from .evaluation import ExpectedAnswers

CONTEXTS = ("closed book", *retrieval.METHODS, "right document")


@lru_cache(maxsize=1)
def library():
    """The whole corpus, indexed: shared by everything that only searches."""
    return retrieval.Library()


@cache
def found(family, split, method, k=10):
    """Documents found for each question: (int array (questions, k), int array of the right ones)."""
    questions = corpus.load_questions(family, split)
    position = {document.name: i for i, document in enumerate(library().documents)}
    right = np.array([position[question.source] for question in questions])
    return library().search([question.text for question in questions], k, method).documents, right


def prompts(context, family, split):
    """The prompt of each question of a family and split in one context: a list of texts."""
    if context not in CONTEXTS:
        raise ValueError(f"context must be one of {', '.join(CONTEXTS)}; got {context!r}")
    questions = corpus.load_questions(family, split)
    if context == "closed book":
        given = [[] for _ in questions]
    elif context == "right document":
        given = [[corpus.by_name()[question.source]] for question in questions]
    else:
        given = [[library().documents[i]] for i in found(family, split, context)[0][:, 0]]
    assistant = Assistant()
    return [assistant.prompt(question.text, documents) for question, documents in zip(questions, given, strict=True)]


@lru_cache(maxsize=8)
def expected(context, family, split="development", keep=1024):
    """`ExpectedAnswers` of a family and split in one context; read from the cache once warm."""
    answers = [question.answer for question in corpus.load_questions(family, split)]
    return ExpectedAnswers(models.language_model(), prompts(context, family, split), answers, keep)


def guess_right(family, split):
    """Is the usual default of a parameter of this name the right one? Bool array (questions,)."""
    return np.array([question.usual for question in corpus.load_questions(family, split)])


def warm():
    """Compute and keep what several notebooks need: vectors, then the language model's states."""
    library().vectors  # noqa: B018
    for split in corpus.SPLITS:
        for family in corpus.FAMILIES:
            for context in CONTEXTS if split == "development" else ("closed book", "fused", "right document"):
                print(f"{split} questions, {family}, {context}", flush=True)
                expected(context, family, split)
