"""The question bank as a deck for Anki, through genanki.

A note's id comes from the question's id, so importing a newer export changes the notes that are there and
keeps what Anki knows about them.
"""

import hashlib
import html
from pathlib import Path

import genanki

NAME = "How would you improve and scale your model?"
CSS = ".card { font-family: sans-serif; font-size: 18px; text-align: left; line-height: 1.4; }"
FIELDS = ("Question", "Topic", "Answer", "Points", "Never say", "Sources")
BACK = "{{FrontSide}}<hr id=answer>{{Answer}}" + "".join(
    f"<h4>{title}</h4>{{{{{name}}}}}"
    for title, name in (("An interviewer ticks off", "Points"), ("Never say", "Never say"), ("Sources", "Sources"))
)
MODEL = "rehearsal question, 1"


def write(bank, path):
    """Write the bank as an .apkg file. Returns the number of notes.

    bank: a `bank.Bank`. Raises ValueError if the name does not end in .apkg, FileExistsError if it is there already.
    """
    path = Path(path)
    if path.suffix != ".apkg":
        raise ValueError(f"path: {path.name!r} must end in .apkg, which is what Anki imports")
    if path.exists():
        raise FileExistsError(f"{path} exists already: name a new file")
    made = deck(bank)
    genanki.Package(made).write_to_file(str(path))
    return len(made.notes)


def deck(bank):
    """The bank as a `genanki.Deck`, one note a question."""
    template = {"name": "Question", "qfmt": "<small>{{Topic}}</small><p>{{Question}}</p>", "afmt": BACK}
    model = genanki.Model(
        _number(MODEL), "Rehearsal", fields=[{"name": name} for name in FIELDS], templates=[template], css=CSS
    )
    made = genanki.Deck(_number(NAME), NAME)
    for question in bank:
        made.add_note(_note(model, question))
    return made


def _note(model, question):
    points = [f"{point.text} (a must)" if point.must else point.text for point in question.points]
    wrong = [f"“{wrong.says}” ({wrong.claim}): {wrong.because}" for wrong in question.wrong]
    fields = [
        html.escape(question.ask),
        html.escape(f"{question.topic}, level {question.level}"),
        html.escape(question.answer).replace("\n", "<br>"),
        _listed(points),
        _listed(wrong),
        html.escape("; ".join(question.sources)),
    ]
    tags = [f"lesson-{question.lesson[:2]}", f"level-{question.level}"]
    return genanki.Note(model, fields, guid=genanki.guid_for("rehearsal", question.id), tags=tags)


def _listed(texts):
    return "<ul>" + "".join(f"<li>{html.escape(text)}</li>" for text in texts) + "</ul>"


def _number(name):
    "A 31-bit id from a name, as Anki wants for decks and models."
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") >> 1
