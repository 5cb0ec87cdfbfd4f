"""README's table of highlights: what the guide says beside what the lessons measured.

What the guide says comes from the ledger, and what was measured is a reference that the notebooks fill
(`helpers.course.references`), so that no number is typed twice.
"""

from dataclasses import dataclass
from pathlib import Path

from .claims import load_claims
from .references import NOTEBOOKS, fill

README = NOTEBOOKS.parent / "README.md"
LEAD = "The guide's words, and what the lessons measured; [CLAIMS.md](CLAIMS.md) has all of its claims."
START, END = "<!-- highlights: made by `make docs` -->", "<!-- end of the highlights -->"


@dataclass(frozen=True)
class Highlight:
    """A row: a claim of the ledger, and what a lesson measured instead.

    measured: Markdown; a number of a lesson is written `[](06_vector_search.ipynb#name)`.
    """

    claim: str
    measured: str
    lesson: str  # file name of the notebook


HIGHLIGHTS = (
    Highlight(
        "I02",
        "the assistant, asked about functions that are only described, on a test set opened once: "
        "[](10_the_answer.ipynb#test_guide.estimate) under the guide's settings, "
        "[](10_the_answer.ipynb#test_after.estimate) after; what did it is a filter and reading the signature, "
        "neither of which is in the guide, and it holds for questions of this form",
        "10_the_answer.ipynb",
    ),
    Highlight(
        "T41",
        "grid, random and TPE end within [](01_tuning.ipynb#furthest_apart) of each other",
        "01_tuning.ipynb",
    ),
    Highlight(
        "T15",
        "of 100 settings that were equally good the best looked [](01_tuning.ipynb#curse) better than it was",
        "01_tuning.ipynb",
    ),
    Highlight(
        "R28",
        "dropout `0.5`: [](02_regularization.ipynb#dropout_gain) on clean labels, not distinguishable from zero; "
        "early stopping [](02_regularization.ipynb#stopping_gain) with 40 of 100 labels wrong",
        "02_regularization.ipynb",
    ),
    Highlight(
        "A03",
        "trained on, they are worth [](03_augmentation.ipynb#three_worth) real documents, and the interval includes "
        "100",
        "03_augmentation.ipynb",
    ),
    Highlight(
        "C08",
        "an interval of ± std/√k over the folds held the truth in "
        "[](04_cross_validation.ipynb#held['k=5']['±std/√k']) of the trials",
        "04_cross_validation.ipynb",
    ),
    Highlight(
        "S04",
        "[](05_batching_and_caching.ipynb#best_short) times on short texts, "
        "[](05_batching_and_caching.ipynb#best_long) on long ones",
        "05_batching_and_caching.ipynb",
    ),
    Highlight(
        "S39",
        "a free embedding and a free search together make one request "
        "[](05_batching_and_caching.ipynb#both_free) times as fast",
        "05_batching_and_caching.ipynb",
    ),
    Highlight(
        "S26",
        "it is exact; IVF is [](06_vector_search.ipynb#times_sure_million) as fast on a million vectors at a recall of "
        "at least `0.95`",
        "06_vector_search.ipynb",
    ),
    Highlight(
        "S14",
        "two ranks on the cores of one machine make [](07_distributed.ipynb#five.estimate) times the steps of one "
        "process with both",
        "07_distributed.ipynb",
    ),
    Highlight(
        "M01",
        "an alarm above 15 points rings in [](08_monitoring.ipynb#gap_15['rings']) of "
        "[](08_monitoring.ipynb#count) trainings",
        "08_monitoring.ipynb",
    ),
    Highlight(
        "P06",
        "the best for one answer is [](09_parametrization.ipynb#hottest_best) or lower at every size",
        "09_parametrization.ipynb",
    ),
)


def render(folder=NOTEBOOKS):
    """The table as Markdown, for a page at the top of the repository. Raises LookupError naming a claim or number."""
    claims = {claim.id: claim for claim in load_claims()}
    lines = [LEAD, "", "| the guide | measured here | verdict | lesson |", "| --- | --- | --- | --- |"]
    for row in HIGHLIGHTS:
        if row.claim not in claims:
            raise LookupError(f"the ledger has no claim {row.claim!r}")
        measured = fill(row.measured.replace("](", "](notebooks/"), folder)
        cells = (
            f"{claims[row.claim].claim} ([{row.claim}](CLAIMS.md#{row.claim.lower()}))",
            measured,
            claims[row.claim].verdict,
            f"[{row.lesson[:2]}](notebooks/{row.lesson})",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def placed(text, table):
    """A page with the table between its two markers. Raises ValueError if they are not there once, in this order."""
    if text.count(START) != 1 or text.count(END) != 1 or text.index(START) > text.index(END):
        raise ValueError(f"the page needs one line {START!r} and, below it, one line {END!r}")
    before, rest = text.split(START)
    return f"{before}{START}\n\n{table}\n\n{END}{rest.split(END)[1]}"


def write(page=README):
    """Put the table into README.md."""
    page = Path(page)
    page.write_text(placed(page.read_text("utf-8"), render()), "utf-8")
