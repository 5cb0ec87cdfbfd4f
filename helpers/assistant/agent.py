"""The assistant: retrieve, build a prompt, answer; or look the signature up; or say "I don't know"."""

import re
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np

from . import corpus, models, retrieval, sampling
from .config import Config

UNKNOWN = "I don't know."

# One worked example of a function that exists nowhere: no question asks for its parameters,
# for an example's value is easily copied (a `tol=0.1` here made every tol 0.1).
EXAMPLE = """kitchen.bake(dish, temperature_c=180, minutes=35, rack='middle', oven=None)
Bake a dish in the oven.
What is the default of minutes in kitchen.bake?
minutes=35
What is the default of rack in kitchen.bake?
rack='middle'
"""

ASKED = re.compile(r"\bdefault(?: value)? (?:of|for)(?: the)?(?: (?:parameter|argument))? [`'\"]?(\w+)", re.IGNORECASE)
NAME = re.compile(r"[A-Za-z_]\w*(?:\.\w+)+|[A-Za-z_]\w*")
SENTENCE_END = re.compile(r"\w{2,}[.!?]\s")
LITERAL = re.compile(  # as repr writes it: a text is in double quotes only if it has a single one inside
    r"=('(?:[^'\\\n]|\\.)*'|\"(?:[^\"'\\\n]|\\.)*'(?:[^\"\\\n]|\\.)*\"|"
    r"(?:None|True|False)(?=\W)|-?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?=[^\w.]))"
)


@dataclass(frozen=True)
class Source:
    """A document that an answer rests on, and its search score."""

    name: str
    score: float


@dataclass(frozen=True)
class Answer:
    """What `Assistant.ask` returns."""

    text: str
    tool: str  # "signature lookup", "retrieval" or "none"
    sources: tuple = ()
    seconds: dict = field(default_factory=dict)  # by stage: lookup, encode, search, prompt, generate
    notes: tuple = ()  # what the learner should know about how it went
    prompt: str = ""  # what the language model read, if it was asked


class Assistant:
    """Answers questions about the installed libraries.

    config: a `Config`. documents: what it may look up; the whole corpus if None. A lesson
    hands in its own `library` (an index, chunked otherwise), `language_model`, or `embed`, what
    turns a list of questions into unit vectors (questions, 384), such as a cache.
    """

    def __init__(self, config=None, documents=None, library=None, language_model=None, embed=None):
        self.config = config or Config()
        self._documents, self._library, self._language_model = documents, library, language_model
        self._embed = embed

    @cached_property
    def library(self):
        if self._library is not None:
            return self._library
        c = self.config
        return retrieval.Library(self._documents, c.chunk_size, c.overlap, c.max_seq_length, c.batch_size)

    @cached_property
    def _by_name(self):
        return {document.name: document for document in self.library.documents}

    @cached_property
    def language_model(self):
        return self._language_model or models.language_model()

    def ask(self, question, seed=0):
        """Answer a question: an `Answer`. The same question and seed give the same answer.

        Raises ValueError if the question is empty.
        """
        if not isinstance(question, str) or not question.strip():
            raise ValueError(f"question must be a text that asks something, got {question!r}")
        clock, notes = Clock(), []
        found = self._looked_up(question, notes)
        clock.stop("lookup")
        if found:
            text, name = found
            return Answer(text, "signature lookup", (Source(name, 1.0),), clock.seconds, tuple(notes))
        vectors = None
        if self.config.method != "lexical":
            embed = self._embed or partial(models.embed, max_seq_length=self.config.max_seq_length, keep=False)
            vectors = embed([question])
        clock.stop("encode")
        sources = self._retrieve([question], vectors)[0]
        clock.stop("search")
        if not sources:
            notes.append(f"no document reaches the similarity threshold {self.config.similarity_threshold}")
            return Answer(UNKNOWN, "none", (), clock.seconds, tuple(notes))
        prompt = self.prompt(question, [self._by_name[source.name] for source in sources])
        text = self._generate(prompt, asked_parameter(question) is not None, seed, clock)
        return Answer(text, "retrieval", sources, clock.seconds, tuple(notes), prompt)

    def retrieve(self, questions):
        """For each question its sources, best first: a list of tuples of `Source`."""
        questions = list(questions)
        vectors = self._embed(questions) if self._embed and self.config.method != "lexical" else None
        return self._retrieve(questions, vectors)

    def _retrieve(self, questions, vectors=None):
        c = self.config
        found = self.library.search(questions, c.top_k, c.method, c.similarity_threshold, vectors)
        return [
            tuple(Source(self.library.documents[i].name, float(s)) for i, s in zip(*row, strict=True) if i >= 0)
            for row in zip(found.documents, found.scores, strict=True)
        ]

    def prompt(self, question, documents):
        """What the language model reads: an example, the documents, the question.

        A question for a default ends in the parameter's name, so that the model goes on as
        the signature does: `=`, a literal, and something that is none. (The prompt does not
        end in `=`: the tokenizer has one token for `=-`, which could then not be written.)
        """
        context = "\n\n".join(document.text for document in documents)
        parameter = asked_parameter(question)
        if parameter is not None:
            return "\n".join([EXAMPLE, *([context] if context else []), question, parameter])
        message = [{"role": "user", "content": f"{context}\n\n{question}\nAnswer in one sentence."}]
        return self.language_model.tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)

    def _looked_up(self, question, notes):
        "(default, name of its object) if enough keywords match and the lookup is in time, else None."
        if keywords(question) < self.config.keyword_threshold:
            return None
        try:
            return in_time(self.config.tool_timeout, look_up, question)
        except TimeoutError:
            notes.append(f"the signature lookup took over {self.config.tool_timeout} s and was abandoned")
            return None

    def _generate(self, prompt, literal, seed, clock):
        c, lm, generator = self.config, self.language_model, np.random.default_rng(seed)
        logits, state = lm.read(lm.tokens(prompt))
        clock.stop("prompt")
        written, text = [], ""
        while len(written) < c.max_tokens:
            scores = sampling.penalised(logits.numpy(), written, c.frequency_penalty, c.presence_penalty)
            token = sampling.draw(sampling.distribution(scores, c.temperature, c.top_p), generator)
            if token == lm.tokenizer.eos_token_id:
                break
            written.append(token)
            text = lm.text(written)
            if first_literal(text) is not None or "\n" in text.lstrip() if literal else SENTENCE_END.search(text):
                break
            logits, state = lm.read_on(token, state)
        clock.stop("generate")
        # A literal that is cut off by max_tokens or by the end of the text has nothing behind it yet.
        found = first_literal(text + "\n") if literal else text.strip()
        return found if found else (text.strip() or UNKNOWN)


def in_time(seconds, tool, *arguments):
    """What `tool(*arguments)` returns or raises; a TimeoutError if that takes longer than `seconds`."""
    outcome = Future()

    def run():
        try:
            outcome.set_result(tool(*arguments))
        except BaseException as error:
            outcome.set_exception(error)

    # As a daemon: a tool that hangs must hang neither the assistant nor Python's exit.
    threading.Thread(target=run, daemon=True).start()
    return outcome.result(seconds)


class Clock:
    """Seconds by stage; `stop(stage)` closes one."""

    def __init__(self):
        self.seconds, self._last = {}, time.perf_counter()

    def stop(self, stage):
        now = time.perf_counter()
        self.seconds[stage], self._last = now - self._last, now


def first_literal(completion):
    """The literal that a completion such as "=0.1, copy=True" starts with: '0.1', or None.

    Numbers and names count once something that is no part of them follows; a text in
    quotes once it is closed.
    """
    match = LITERAL.match(completion)
    return match[1] if match else None


def asked_parameter(question):
    """The parameter whose default a question asks for, or None."""
    match = ASKED.search(question)
    return match[1] if match else None


def keywords(question):
    """How many of the lookup's three keywords match: "default", a known object, one of its parameters."""
    target, parameter = _target(question)
    return ("default" in question.lower()) + (target is not None) + (parameter is not None)


def look_up(question):
    """The exact answer from the signature: (repr of the default, name of the object), or None."""
    target, parameter = _target(question)
    return (dict(target.defaults)[parameter], target.name) if parameter else None


def _target(question):
    "(document that the question names, its parameter that the question asks for or mentions); None if missing."
    named = [name.rstrip(".") for name in NAME.findall(question)]
    target = next(filter(None, map(_resolve, named)), None)
    asked, defaults = asked_parameter(question), dict(target.defaults) if target else {}
    return target, next((name for name in ([asked] if asked else named) if name in defaults), None)


def _resolve(name):
    "The document of a qualified name, or of the end of one ('Ridge', 'linalg.norm') if only one ends so."
    known = corpus.by_name()
    if name in known:
        return known[name]
    if "." not in name and not name[0].isupper():  # an ordinary word
        return None
    ending = [document for full, document in known.items() if full.endswith(f".{name}")]
    return ending[0] if len(ending) == 1 else None
