"""A number in the course's prose is an assertion: `check` holds it to what this run measures.

A lesson ends in `check("02_regularization.ipynb")`. How numbers are bound to names, and what bands
there are, is described in `helpers.course.prose`.
"""

import html
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from helpers.course.prose import Stated, stated, unlinked

__all__ = ["NotMeasured", "NotReproduced", "Stated", "check", "not_measured", "stated", "unlinked"]


class NotReproduced(AssertionError):
    """A number that the prose states is not what this run measures."""

    def _render_traceback_(self):  # IPython then shows the message alone, without frames
        return [f"NotReproduced: {self}"]


@dataclass(frozen=True)
class NotMeasured:
    """What stands for a number that this machine cannot measure. What is computed from it is the same."""

    reason: str

    def _same(self, *_, **__):
        return self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _same
    __neg__ = __abs__ = __round__ = __getitem__ = __call__ = _same

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return self

    def __format__(self, _):
        return "not measured here"


def not_measured(reason):
    """Stands for a number that needs what this machine lacks; `reason` says what that is and how to get it."""
    return NotMeasured(reason)


def check(notebook, changes=None):
    """Show each number stated in `notebook` beside this run's measurement.

    notebook: file name, looked for in the working folder and in `notebooks/`.
    changes: sentences that say how the corpus differs from the course's; by default those of
        `helpers.assistant.corpus.changes()`. If there are any, a number outside its band is
        shown as "another corpus".
    Raises NotReproduced, naming number, sentence and measurement. "another corpus" and
    `not_measured` are failures only where `CI=true`. Raises ValueError for a statement that cannot
    be read, FileNotFoundError, and RuntimeError outside of IPython.
    """
    from IPython import get_ipython
    from IPython.display import display

    shell = get_ipython()
    if shell is None:
        raise RuntimeError("check() reads the variables of a running notebook: run it there, as the last cell")
    measured = [(statement, measure(statement.name, shell.user_ns)) for statement in stated(_find(notebook))]
    if changes is None:
        changes = [] if all(_mark(*pair, []) == "✓" for pair in measured) else _corpus_changes()
    rows = [Row(*pair, _mark(*pair, changes)) for pair in measured]
    display(Report(notebook, tuple(rows), tuple(changes)))
    failures = [row for row in rows if row.mark == "✗" or (row.mark != "✓" and os.environ.get("CI") == "true")]
    if failures:
        heading = f"{len(failures)} of {len(rows)} numbers stated in {notebook}"
        raise NotReproduced("\n  ".join([heading, *map(str, failures), *changes]))


def measure(name, namespace):
    """What `name` stands for: a float, a NotMeasured, or a string that says why it is neither."""
    try:
        value = eval(name, {"__builtins__": {}}, namespace)
        if isinstance(value, NotMeasured):
            return value
        if isinstance(value, str) or getattr(value, "shape", ()) != ():
            return f"{type(value).__name__}, not a number"
        return float(value.item() if hasattr(value, "item") else value)
    except NameError:
        return "never defined"
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
        return f"{type(error).__name__}: {error}"


def _mark(statement, measured, changes):
    if isinstance(measured, NotMeasured):
        return "not measured here"
    if isinstance(measured, float) and measured in statement.band:
        return "✓"
    return "another corpus" if isinstance(measured, float) and changes else "✗"


def _corpus_changes():
    try:
        from helpers.assistant.corpus import changes

        return changes()
    except ImportError as error:  # a library is missing, which is a change too
        return [f"the corpus cannot be compared with the course's: {error}"]


def _find(notebook):
    for path in (Path(notebook), Path("notebooks", notebook)):
        if path.is_file():
            return path
    raise FileNotFoundError(f"no notebook {notebook!r} in {Path.cwd()} or its folder notebooks/")


@dataclass(frozen=True)
class Row:
    """A number stated, what was measured, and how they compare."""

    stated: Stated
    value: float | NotMeasured | str
    mark: str  # "✓", "✗", "not measured here" or "another corpus"

    @property
    def band(self):
        return self.stated.title or ("exactly" if self.stated.band.low == self.stated.band.high else "last digit ±1")

    @property
    def measured(self):
        "As a reader would write it, in the unit of the statement and a digit more than it."
        if not isinstance(self.value, float):
            return self.value.reason if isinstance(self.value, NotMeasured) else self.value
        digits = max(4, 1 + sum(map(str.isdigit, self.stated.text)))
        if self.stated.unit:
            return f"{100 * self.value:.{digits}g}" + ("%" if self.stated.unit == "%" else " points")
        return f"{self.value:,.0f}" if self.value.is_integer() else f"{self.value:.{digits}g}"

    def __str__(self):
        s = self.stated
        return f"{s.name}: stated {s.text} ({self.band}), measured {self.measured}; cell {s.cell}: “{s.sentence}”"


@dataclass(frozen=True)
class Report:
    """The table that `check` shows; a row's id is its name, so that a number in prose leads to it."""

    notebook: str
    rows: tuple
    changes: tuple

    @property
    def summary(self):
        agree = sum(row.mark == "✓" for row in self.rows)
        return ". ".join([f"{agree} of {len(self.rows)} numbers stated in {self.notebook} hold here", *self.changes])

    def __repr__(self):
        return "\n".join([self.summary, *(f"{row.mark} {row}" for row in self.rows)])

    def _repr_html_(self):
        head = "".join(
            f'<th scope="col" style="text-align:left">{name}</th>'
            for name in ("Statement", "Stated", "Band", "Measured here", "Holds")
        )
        body, seen = [], set()
        for row in self.rows:
            s = row.stated
            # the id as a browser spells the anchor of the link
            anchor = quote(s.name, safe="'")
            anchor = "" if s.name in seen else f' id="{anchor}"'
            seen.add(s.name)
            cells = (s.sentence, s.text, row.band, row.measured, row.mark)
            cells = "".join(f'<td style="text-align:left">{html.escape(cell)}</td>' for cell in cells)
            # the margin keeps the row clear of what a notebook pins to the top of the window
            body.append(f'<tr{anchor} style="scroll-margin:6em">{cells}</tr>')
        return (
            f"<table><caption>{html.escape(self.summary)}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
        )
