"""The question bank: `questions/*.toml`, one file a topic.

    topic = "Vector search"          # as a learner reads it
    lesson = "06_vector_search"      # the notebook that teaches it

    [[question]]
    id = "flat-is-exact"             # kebab-case, unique in the bank; never changed: schedules and Anki hang on it
    level = 2                        # 1 explain, 2 decide and justify, 3 design, diagnose, defend
    seconds = 120                    # a fair time for the answer, 60 to 240
    ask = "Which FAISS index, and why that one?"
    answer = "… IVF was {06_vector_search#times_sure} as fast …"
    sources = ["06_vector_search", "Johnson, Douze & Jégou 2019"]

    [[question.points]]              # 3 to 6: what an interviewer ticks off
    id = "exact"                     # kebab-case, unique in the question
    text = "IndexFlatL2 is exact brute force"
    phrases = ["a flat index compares the query with every vector", "…"]  # 2 to 4, other words each
    must = true                      # without it the answer fails: one to three a question
    follow_up = "What would you use at ten million vectors?"   # asked when the point was missing

    [[question.wrong]]               # 1 to 4 known-wrong claims that tempt people here
    claim = "S26"                    # its id in helpers/course/claims.tsv
    says = "IndexFlatL2 is approximate and 100 times faster than exact search"
    refuted_by = "06_vector_search#times_sure"      # a number that a lesson states
    because = "Flat is exact; the approximate IVF was {06_vector_search#times_sure} as fast …"

A measured number is never typed. `{lesson#name}` is filled in from the lesson that states it when the
bank is read, so a number that changes there changes here, and one that is gone is an error.
"""

import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..claims import load_claims
from ..references import NOTEBOOKS, spelled_out, texts

QUESTIONS = Path(__file__).with_name("questions")
LEVELS = {1: "explain", 2: "decide and justify", 3: "design, diagnose, defend"}
SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
FILE = {"topic": str, "lesson": str, "question": list}
QUESTION = {"id": str, "level": int, "seconds": int, "ask": str, "answer": str, "sources": list, "points": list,
            "wrong": list}  # fmt: skip
POINT = {"id": str, "text": str, "phrases": list, "must": bool, "follow_up": str}
WRONG = {"claim": str, "says": str, "refuted_by": str, "because": str}


@dataclass(frozen=True)
class Point:
    """One thing that an interviewer ticks off."""

    id: str
    text: str
    phrases: tuple
    must: bool
    follow_up: str


@dataclass(frozen=True)
class Wrong:
    """A known-wrong claim, and what refutes it."""

    claim: str  # id in the ledger
    says: str
    refuted_by: str  # "06_vector_search#times_sure"
    number: str  # what that lesson states: "32 times"
    because: str


@dataclass(frozen=True)
class Question:
    """One question, its references filled in."""

    id: str
    topic: str
    lesson: str
    level: int
    seconds: int
    ask: str
    answer: str
    sources: tuple
    points: tuple
    wrong: tuple


@dataclass(frozen=True)
class Bank:
    """All questions, in the order of the files: {id: Question}."""

    questions: dict

    def __len__(self):
        return len(self.questions)

    def __iter__(self):
        return iter(self.questions.values())

    def __getitem__(self, id):
        return self.questions[id]

    @property
    def topics(self):
        """The topics, in order, each once."""
        return tuple(dict.fromkeys(question.topic for question in self))

    def chosen(self, topic=None, level=None):
        """The questions of a topic and a level; None stands for any."""
        return tuple(q for q in self if topic in (None, q.topic) and level in (None, q.level))


@lru_cache(maxsize=4)
def load(folder=QUESTIONS, notebooks=NOTEBOOKS):
    """Read, check and fill in the bank.

    folder: of the TOML files. notebooks: of the lessons that the numbers come from.
    Returns a `Bank`. Raises ValueError with a line for everything that is wrong, naming file, question and key.
    """
    found, problems = {}, []
    known = {claim.id for claim in load_claims()}
    for path in sorted(Path(folder).glob("*.toml")):
        try:
            content = tomllib.loads(path.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            problems.append(f"{path.name} is not readable TOML: {error}")
            continue
        wrong = _fields(content, FILE)
        if wrong:
            problems += [f"{path.name}: {problem}" for problem in wrong]
            continue
        for position, raw in enumerate(content["question"], start=1):
            where = f"{path.name}, {raw.get('id', f'question {position}')}"
            wrong = _problems(raw, known) or ([f"id: {raw['id']!r} is there twice"] if raw["id"] in found else [])
            if not wrong:
                try:
                    found[raw["id"]] = _question(raw, content["topic"], content["lesson"], notebooks)
                except LookupError as error:
                    wrong = [error.args[0]]
            problems += [f"{where}: {problem}" for problem in wrong]
    if not found and not problems:
        problems.append(f"no question in {folder}: it must hold *.toml files")
    if problems:
        raise ValueError("the question bank must be mended:\n" + "\n".join(problems))
    return Bank(found)


def _question(raw, topic, lesson, notebooks):
    "A checked entry, its references filled in. Raises LookupError for a number that no lesson states."

    def filled(text):
        return " ".join(spelled_out(text, notebooks).split())

    points = tuple(
        Point(p["id"], filled(p["text"]), tuple(map(filled, p["phrases"])), p["must"], filled(p["follow_up"]))
        for p in raw["points"]
    )
    wrong = tuple(
        Wrong(w["claim"], filled(w["says"]), w["refuted_by"], texts(*w["refuted_by"].split("#", 1), notebooks)[0],
              filled(w["because"]))
        for w in raw["wrong"]
    )  # fmt: skip
    paragraphs = [filled(paragraph) for paragraph in re.split(r"\n\s*\n", raw["answer"].strip())]
    return Question(raw["id"], topic, lesson, raw["level"], raw["seconds"], filled(raw["ask"]),
                    "\n\n".join(paragraphs), tuple(raw["sources"]), points, wrong)  # fmt: skip


def _problems(raw, claims):
    "What the schema does not allow about one question, as sentences."
    found = _fields(raw, QUESTION)
    if found:
        return found
    found += _slugs("id", [raw["id"]])
    found += _between("level", raw["level"], 1, 3) + _between("seconds", raw["seconds"], 60, 240)
    found += _between("points", len(raw["points"]), 3, 6) + _between("wrong", len(raw["wrong"]), 1, 4)
    found += _between("sources", len(raw["sources"]), 1, 12)
    for kind, schema in (("points", POINT), ("wrong", WRONG)):
        for position, entry in enumerate(raw[kind], start=1):
            found += [f"{kind} {entry.get('id', position)}: {problem}" for problem in _fields(entry, schema)]
    if found:
        return found
    found += _slugs("points", [point["id"] for point in raw["points"]])
    found += _between("points with must = true", sum(point["must"] for point in raw["points"]), 1, 3)
    for point in raw["points"]:
        found += _between(f"phrases of {point['id']}", len(point["phrases"]), 2, 4)
        if not all(isinstance(phrase, str) and phrase.strip() for phrase in point["phrases"]):
            found.append(f"phrases of {point['id']}: each must be a text")
    cited = [wrong["claim"] for wrong in raw["wrong"]]
    found += [f"claim: {id!r} is there twice" for id in sorted({id for id in cited if cited.count(id) > 1})]
    for wrong in raw["wrong"]:
        if wrong["claim"] not in claims:
            found.append(f"claim: no {wrong['claim']!r} in helpers/course/claims.tsv")
        number = wrong["refuted_by"]
        if not re.fullmatch(r"\d\d_\w+#\S+", number):
            found.append(f"refuted_by: {number!r} must be a number of a lesson, as 06_vector_search#speedup")
    return found


def _fields(entry, schema):
    if not isinstance(entry, dict):
        return [f"{entry!r} must be a table"]
    found = [f"{key}: missing" for key in schema if key not in entry]
    found += [f"{key}: unknown; there is {', '.join(schema)}" for key in entry if key not in schema]
    for key, kind in schema.items():
        if key in entry and type(entry[key]) is not kind:
            found.append(f"{key}: {entry[key]!r} must be of type {kind.__name__}")
        elif kind is str and key in entry and not entry[key].strip():
            found.append(f"{key}: must not be empty")
    return found


def _between(name, value, low, high):
    return [] if low <= value <= high else [f"{name}: {value} must be from {low} to {high}"]


def _slugs(name, ids):
    found = [f"{name}: {id!r} must be kebab-case, as flat-is-exact" for id in ids if not SLUG.fullmatch(id)]
    return found + [f"{name}: {id!r} is there twice" for id in sorted({id for id in ids if ids.count(id) > 1})]
