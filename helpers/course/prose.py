"""Reads the numbers that a notebook's prose states: each is a link to what measures it.

    Dropout moved held-out accuracy from [0.566](#plain_test "±0.02") to [57%](#dropout.test),
    while the guide promises [15 points](../CLAIMS.md#r26).

The link's text states one number, its anchor names what measures it in the notebook: `#name`,
`#name.attribute`, `#name[0]` or `#name['key']`. Numbers may be written `1,234`, `−0.5`, `1e-05`,
`1.3 × 10^30` or spelled out up to twelve, with any unit. Only a percentage and points change the
scale: `43%` and `43 points` state 0.43. The link's title is the band that the measurement must
fall in; its numbers have the statement's unit unless they bring their own:

    "±0.02"    this far from the number stated
    "±20%"     a share of the number stated; but for a percentage, like `43%`, points, as "±20" would be
    "≥ 5", "> 5", "≤ 5", "< 5"
    "2–50"     between the two, ends included (en dash or hyphen)
    none       a whole number exactly; a percentage or points within one point; a decimal, or a
               mantissa in scientific notation, within one unit of its last digit

Settings, names and versions belong in `code` or $formulas$, which are not read.
"""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

NUMBER = re.compile(
    r"(?<![\w.])(?P<digits>[-−+]?(?:(?:\d{1,3}(?:[,\u202f]\d{3})+|\d+)(?:\.\d+)?|\.\d+))"
    r"(?:(?:[eE]|\s?[×x·]\s?10(?:\^\{?|(?=[⁻⁰¹²³⁴-⁹])))(?P<exponent>[-−+]?\d+|[⁻⁰¹²³⁴-⁹]+)\}?)?(?!\.?\d)"
    r"(?P<percent>\s?(?:%|per ?cent\b|(?:percentage )?points?\b))?"
)
PLAIN = str.maketrans("−⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "--0123456789", ",\u202f")
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
SPELLED = re.compile(rf"(?:{'|'.join(WORDS)})\b", re.IGNORECASE)

NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[(?:-?\d+|'[^']*'|\"[^\"]*\")\])*")
# Read from left to right, so that a link in code is code, and code in a link's text is a link.
PIECE = re.compile(
    r"\[(?P<text>[^\[\]]*)\]\((?P<target>(?:[^\s()]|\([^\s()]*\))*)(?:\s+\"(?P<title>[^\"]*)\")?\)"
    r"|(?P<fence>```+|~~~+).*?(?P=fence)|(?P<ticks>``?)(?:(?!\n\n).)+?(?P=ticks)|<!--.*?-->|</?[A-Za-z][^>]*>"
    r"|\$\$.*?\$\$|(?<!\\)\$(?:(?!\n\n)[^$])+\$|https?://\S+",
    re.DOTALL,
)
# Ends of sentences, paragraphs, list items, rows of tables.
BREAK = re.compile(r"(?<=[.!?])\s+(?=[A-Z*\[(“])|\n\s*\n|\n(?=\s*(?:[-*+>|#]|\d+\.)\s)")
MARKUP = re.compile(r"^\s*(?:[>#|]+\s*|[-+*]\s+|\d+\.\s+)+|\*+|`+|(?<!\w)_|_(?!\w)")

UNIT = re.compile(r"\s?(?:[×x](?!\w|\s?\d)|(?:times|[nµμm]?s|(?:milli)?seconds?|[kKMGT]i?B|bytes)\b)")
TOOLS = "Python|(?:Py)?Torch|NumPy|SciPy|pandas|scikit-learn|transformers|FAISS|hyperopt|Redis|Ray|CUDA|JupyterLab"
PARTS = r"(?:ch|sec|fig|eq|app)\.|§|(?:chapter|section|figure|table|lesson|appendix)s?"
DOTTED = r"[1-9]\d*(?:\.\d+)+"
NAMES = re.compile(  # numbers that name something, and so are not measured
    rf"\b(?:{TOOLS}|version|v) ?v?{DOTTED}"
    r"|arXiv:? ?\d{4}\.\d{4,5}|doi:\S+"
    r"|\b[a-z]\w*(?:-\w+)*-\d[\w.]*"  # GPT-3.5
    rf"|(?:{PARTS})\s?{DOTTED}(?:,? (?:and )?{DOTTED})*|^#+ *{DOTTED}"  # ch. 5.2, 7.1
    r"|\b(?:19|20)\d0s\b"
    r"|\d+(?:\.\d+)?\s?%(?= (?:(?:confidence|credible|bootstrap) )?(?:interval|band|CI))",
    re.MULTILINE | re.IGNORECASE,
)


@dataclass(frozen=True)
class Band:
    """The measurements that bear a statement out: from `low` to `high`, the ends included unless `strict`."""

    low: float
    high: float
    strict: bool = False

    def __contains__(self, value):
        if not math.isfinite(value):
            return False
        if self.strict:
            return self.low < value < self.high
        rounding = 1e-9 * max(abs(x) for x in (self.low, self.high, value) if math.isfinite(x))
        return self.low - rounding <= value <= self.high + rounding


@dataclass(frozen=True)
class Stated:
    """A number stated in prose and bound to a name."""

    text: str  # as written: "57%"
    name: str  # what measures it: "dropout.test"
    title: str  # the band as written, "" if there is none
    value: float
    unit: str  # "%", "points" or "": of those, the measurement is a hundredth
    band: Band
    cell: int  # counted from 1 among cells of all kinds
    sentence: str


def stated(path):
    """Yield every bound number of the notebook at `path`, in reading order, as `Stated`.

    Raises ValueError for a link whose number, name or band cannot be read, and for a statement
    outside its own band.
    """
    for cell, source in markdown_cells(path):
        for link in PIECE.finditer(source):
            if (link["target"] or "").startswith("#") and _states_a_number(link["text"]):
                try:
                    yield _stated(link["text"], link["target"][1:], link["title"] or "", cell, _sentence(source, link))
                except ValueError as error:
                    raise ValueError(f"{Path(path).name}, cell {cell}, {link[0]}: {error}") from None


def unlinked(path):
    """Numbers in the prose of the notebook at `path` that look measured and are bound to nothing: a list of messages.

    Looks for decimals, percentages, ratios (`3×`, `3 times`), times and sizes outside of links, code,
    formulas and comments. A link counts if it leads to a `#name`, to a claim of CLAIMS.md, to the web,
    or to a `#name` of another notebook that states the same there.
    """
    messages = []
    for cell, source in markdown_cells(path):
        blank = PIECE.sub(lambda piece: _blank(piece, Path(path).parent), source)
        blank = NAMES.sub(lambda m: " " * len(m[0]), blank)
        for number in NUMBER.finditer(blank):
            unit = UNIT.match(blank, number.end())
            if unit or number["percent"] or number["exponent"] or "." in number["digits"]:
                text = number[0] + (unit[0] if unit else "")
                messages.append(f"cell {cell}: {text!r} is bound to nothing, in “{_sentence(source, number)}”")
    return messages


def markdown_cells(path):
    """Yield (number, source) of the Markdown cells of a notebook, counted from 1 among cells of all kinds."""
    for number, cell in enumerate(json.loads(Path(path).read_text("utf-8"))["cells"], start=1):
        if cell["cell_type"] == "markdown":
            yield number, "".join(cell["source"])


def parse(text):
    """The number stated and one unit of its last digit, or 0 for a whole number: `43%` -> (0.43, 0.01).

    Raises ValueError unless `text` has exactly one number.
    """
    return _value_and_unit(_only_number(text))


def parse_band(text, title=""):
    """The `Band` that `title` gives to the number stated by `text`.

    Raises ValueError if either cannot be read, or if the number lies outside.
    """
    value, last_digit = parse(text)
    band = _band(value, _points(text), title) if title else Band(value - last_digit, value + last_digit)
    if value not in band:
        raise ValueError(f"states a number outside its own band {title!r}")
    return band


def _stated(text, name, title, cell, sentence):
    band = parse_band(text, title)
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a name: bind to #name, #name.attribute, #name[0] or #name['key']")
    return Stated(text, name, title, parse(text)[0], _points(text), band, cell, sentence)


def _points(text):
    percent = _only_number(text)["percent"]
    return "" if not percent else "points" if "point" in percent else "%"


def _states_a_number(text):
    return NUMBER.search(_spelled_in_digits(text))


def _spelled_in_digits(text):
    "A number word is read where a text begins with it: 'three times', but not 'the one'."
    start = text.lstrip(" *_")
    return SPELLED.sub(lambda word: str(WORDS.index(word[0].lower())), start, count=1) if SPELLED.match(start) else text


def _only_number(text):
    found = list(NUMBER.finditer(_spelled_in_digits(text)))
    if len(found) != 1:
        raise ValueError(f"{text!r} states {len(found)} numbers; a link states one")
    return found[0]


def _value_and_unit(number, in_points=False):
    in_points = in_points or bool(number["percent"])
    digits = number["digits"].translate(PLAIN)
    exponent = int((number["exponent"] or "0").translate(PLAIN)) - (2 if in_points else 0)
    places = len(digits.partition(".")[2])
    is_rounded = places or in_points or number["exponent"]
    return float(f"{digits}e{exponent}"), float(f"1e{exponent - places}") if is_rounded else 0.0


def _band(value, points, title):
    "points: '%', 'points' or '', the statement's own unit."
    shape = "".join(NUMBER.sub("#", title).split()).replace("#×", "#").replace("#x", "#")
    ends = [_value_and_unit(number, in_points=bool(points))[0] for number in NUMBER.finditer(title)]
    if shape == "±#":
        if "%" in title and points == "points":
            raise ValueError(f"{title!r} of points can be read in two ways: write {title.replace('%', ' points')!r}")
        slack = ends[0] * abs(value) if "%" in title and not points else ends[0]
        return Band(value - slack, value + slack)
    if shape in ("≥#", ">#"):
        return Band(ends[0], math.inf, strict=shape == ">#")
    if shape in ("≤#", "<#"):
        return Band(-math.inf, ends[0], strict=shape == "<#")
    if shape in ("#–#", "#-#"):
        return Band(*ends)
    raise ValueError(f"cannot read the band {title!r}: write ±0.02, ±20%, ≥ 5, > 5, ≤ 5, < 5 or 2–50")


def _sentence(source, piece):
    "The sentence around a match, as a reader sees it."
    breaks = list(BREAK.finditer(source))
    start = max((b.end() for b in breaks if b.end() <= piece.start()), default=0)
    end = min((b.start() for b in breaks if b.start() >= piece.end()), default=len(source))
    text = PIECE.sub(lambda m: m[0] if m["text"] is None else m["text"], source[start:end])
    return " ".join(MARKUP.sub("", text).replace("|", " ").split())


def _blank(piece, folder):
    "The piece as the linter sees it: nothing, unless it is a link that binds no number."
    text = piece["text"]
    if text is None or _is_bound(text, piece["target"], folder):
        text = ""
    return (" " + text).ljust(len(piece[0]))


def _is_bound(text, target, folder):
    page, _, name = target.partition("#")
    if page.endswith(".ipynb") and name:
        other = folder / page
        return other.is_file() and any((s.text, s.name) == (text, name) for s in stated(other))
    return re.match(r"https?://", page) or (name and page in ("", "../CLAIMS.md"))
