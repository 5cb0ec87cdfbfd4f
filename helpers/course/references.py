"""A number is stated once, in the lesson that measures it. Other pages refer to it, and this fills it in.

In Markdown, of a notebook or of README.md, a reference is a link: `[](06_vector_search.ipynb#speedup)`.
`make docs` writes between its brackets what lesson 06 states, and does so again when that has changed. Where a
text is shown rather than stored, as in the rehearsal's questions, it is `{06_vector_search#speedup}`.
"""

import re
from functools import cache
from pathlib import Path

import nbformat

from .prose import stated

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
LINK = re.compile(r"\[([^\[\]]*)\]\(((?:notebooks/)?(\d\d_\w+)\.ipynb#([^\s()]+))\)")
BRACES = re.compile(r"\{(\d\d_\w+)#([^{}\s]+)\}")


def texts(lesson, name, folder=NOTEBOOKS):
    """How `lesson` states its number `name`, in reading order: ("12 points", …).

    Raises LookupError naming the number if the lesson does not state it.
    """
    found = _stated_in(Path(folder), lesson).get(name)
    if not found:
        raise LookupError(f"{lesson}#{name}: notebooks/{lesson}.ipynb states no number of that name")
    return found


@cache
def _stated_in(folder, lesson):
    found, path = {}, folder / f"{lesson}.ipynb"
    for number in stated(path) if path.is_file() else ():
        found.setdefault(number.name, []).append(number.text)
    return found


def fill(text, folder=NOTEBOOKS):
    """Markdown with what the lessons state between the brackets of every reference; what one of them states stays."""

    def filled(link):
        known = texts(link[3], link[4], folder)
        return f"[{link[1] if link[1] in known else known[0]}]({link[2]})"

    return LINK.sub(filled, text)


def spelled_out(text, folder=NOTEBOOKS):
    """`text` with every `{06_vector_search#speedup}` replaced by what the lesson states: "a speed-up of 32 times"."""
    return BRACES.sub(lambda match: texts(match[1], match[2], folder)[0], text)


def fill_notebook(path, folder=NOTEBOOKS):
    """Fill the references in the prose of the notebook at `path`, which is written only if one has changed."""
    notebook, changed = nbformat.read(path, 4), False
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.source != (source := fill(cell.source, folder)):
            cell.source, changed = source, True
    if changed:
        nbformat.write(notebook, path)
    return changed


def fill_page(path, folder=NOTEBOOKS):
    """The same for a Markdown file."""
    before = Path(path).read_text("utf-8")
    after = fill(before, folder)
    if changed := after != before:
        Path(path).write_text(after, "utf-8")
    return changed


if __name__ == "__main__":
    changed = [path.name for path in sorted(NOTEBOOKS.glob("[0-9]*.ipynb")) if fill_notebook(path)]
    changed += ["README.md"] * fill_page(NOTEBOOKS.parent / "README.md")
    print("filled the references of", ", ".join(changed) or "no page: all were in step")
