"""What is made from the notebooks: ANSWERS.md, their "What to say" sections in one file; README's picture and table."""

import base64
import json
import re
from pathlib import Path

from . import highlights

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = ("What to say", "Never say", "They will ask next", "On your own system")
HEAD = """# Answers

What each lesson lets you say in an interview, with the numbers it measured. This file is made from
the lessons (`make docs`); a number links to the notebook that measures it and checks it in CI.
These figures come from one small system, an assistant over the docstrings of five Python libraries.
Do not quote them as your own experience: quote the reasoning, and measure your own.
"""


def render(folder=ROOT / "notebooks"):
    """The text of ANSWERS.md, from the closing sections of every notebook in `folder`."""
    parts = [HEAD]
    for path in sorted(Path(folder).glob("[0-9]*.ipynb")):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        prose = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
        title = re.search(r"^# (.+)", prose, re.MULTILINE)[1]
        found = [_section(prose, name) for name in SECTIONS]
        if any(found):
            parts.append(f"## [{title}](notebooks/{path.name})\n")
            parts += [_relinked(section, path.name) for section in found if section]
    return "\n".join(parts)


def _section(prose, name):
    "A section with its heading one level lower, up to the next heading of its own level."
    match = re.search(rf"^## {name}.*?(?=^##? |\Z)", prose, re.MULTILINE | re.DOTALL)
    return re.sub(r"^(#+ )", r"#\1", match[0].rstrip() + "\n", flags=re.MULTILINE) if match else ""


def _relinked(text, notebook):
    "Links as seen from the top of the repository; bands are the notebook's business."
    text = re.sub(r'\]\(#([^)\s"]+)(?:\s+"[^"]*")?\)', rf"](notebooks/{notebook}#\1)", text)
    return text.replace("](../", "](").replace("](0", "](notebooks/0").replace("](1", "](notebooks/1")


def picture(folder=ROOT / "notebooks"):
    """PNG bytes of README's picture: the output of the cell tagged `readme-picture`."""
    for path in sorted(Path(folder).glob("[0-9]*.ipynb")):
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            if "readme-picture" in cell["metadata"].get("tags", []):
                return base64.b64decode("".join(cell["outputs"][0]["data"]["image/png"]))
    raise LookupError(f"no cell in {folder} is tagged readme-picture")


if __name__ == "__main__":
    (ROOT / "ANSWERS.md").write_text(render(), "utf-8")
    images = ROOT / "notebooks" / "images"
    images.mkdir(exist_ok=True)
    (images / "baseline.png").write_bytes(picture())
    highlights.write()
    print("wrote ANSWERS.md, notebooks/images/baseline.png and README.md's highlights")
