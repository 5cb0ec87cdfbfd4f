import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.course import claims
from helpers.course.claims import PAGE, TABLE, VERDICTS, load_claims, render
from helpers.course.stated import stated

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
TOPICS = {
    "tuning": 43,
    "regularization": 40,
    "augmentation": 18,
    "cross-validation": 22,
    "scaling": 45,
    "monitoring": 20,
    "parametrization": 47,
    "interview answers": 14,
}


def test_no_claim_of_the_guide_is_lost():
    assert Counter(claim.topic for claim in load_claims()) == TOPICS
    assert sum(TOPICS.values()) == 249


def test_every_column_but_evidence_is_filled():
    for claim in load_claims():
        assert all(vars(claim)[name].strip() == vars(claim)[name] != "" for name in vars(claim) if name != "evidence")


def test_every_verdict_occurs_and_has_a_meaning():
    assert {claim.verdict for claim in load_claims()} == set(VERDICTS)


def unresolved(all_claims, notebooks):
    "Evidence that no notebook states: ['R26: 02_regularization#dropout_test', …]"
    found = []
    for claim in all_claims:
        for lesson, name in claim.numbers:
            path = notebooks / f"{lesson}.ipynb"
            if not path.is_file() or name not in {s.name for s in stated(path)}:
                found.append(f"{claim.id}: {lesson}#{name}")
    return found


def test_the_evidence_is_a_number_that_the_notebook_states():
    assert unresolved(load_claims(), NOTEBOOKS) == []


def test_evidence_that_is_not_there_is_found(write_notebook):
    folder = write_notebook("It is [0.57](#dropout).", name="02_regularization.ipynb").parent
    claim = load_claims()[0]
    good, gone, elsewhere = (
        replace(claim, evidence=(reference, "arithmetic"))
        for reference in ("02_regularization#dropout", "02_regularization#gap", "03_other#dropout")
    )
    assert unresolved([good], folder) == []
    assert len(unresolved([gone, elsewhere], folder)) == 2


def test_the_page_is_up_to_date():
    assert PAGE.read_text("utf-8") == render(), "run `python -m helpers.course.claims`"


def test_every_claim_has_an_anchor_and_every_reference_leads_to_one():
    page = render()
    anchors = re.findall(r'<a id="(\w+)"></a>', page)
    assert anchors == [claim.id.lower() for claim in load_claims()]
    assert set(re.findall(r"\]\(#(\w\d\d)\)", page)) <= set(anchors)


def test_the_page_counts_evidence_and_links_to_the_notebook():
    measured, calculated, *others = (replace(claim, evidence=()) for claim in load_claims())
    measured = replace(measured, evidence=("02_regularization#dropout.test", "literature"))
    page = render((measured, replace(calculated, evidence=("arithmetic",)), *others))
    assert "1 are measured in a notebook, 1 rest on arithmetic or literature alone, and 247 are still" in page
    assert "Evidence: [02_regularization, `dropout.test`](notebooks/02_regularization.ipynb), literature" in page
    assert "Evidence: arithmetic\n" in page
    assert page.count("not measured yet; planned experiment: ") == 247


def test_a_page_with_nothing_left_to_measure_speaks_of_no_plans():
    page = render([replace(claim, evidence=("literature",)) for claim in load_claims()])
    assert "0 are measured in a notebook and 249 rest on arithmetic or literature alone." in page
    assert "| verdict | claims | meaning |" in page
    assert "still to be measured" not in page
    assert "planned experiment" not in page


@pytest.mark.parametrize(
    "word",
    [
        r"\bS[01]\b",
        r"\(measured",
        "measured here",
        "simulated here",
        r"\bbrief\b",
        "mirrored",
        "this machine",
        "sandbox",
    ],
)
def test_the_ledger_speaks_of_the_course_alone(word):
    found = [
        line for line in (TABLE.read_text("utf-8") + render()).splitlines() if re.search(word, line, re.IGNORECASE)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("\tmisleading\t", "\tmistaken\t"), "T02: the verdict 'mistaken' is none of"),
        (("\nT02\t", "\nT01\t"), "T01 is there twice"),
        (("\ttopic\t", "\tsubject\t"), "the columns of"),
        (("\nT03\t", "\nT03\t\t"), "line 4: 11 columns instead of 10"),
        (("\t\nT02", "\tseen it\nT02"), "T01: 'seen it' is not"),
        (("\t\nT02", "\tarithmetic;literature\nT02"), "T01: 'arithmetic;literature' is not"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(tmp_path, change, message):
    head, *rows = TABLE.read_text("utf-8").splitlines()
    blank = "\n".join([head, *(row.rpartition("\t")[0] + "\t" for row in rows)]) + "\n"
    (tmp_path / "claims.tsv").write_text(blank.replace(*change, 1), "utf-8")
    with pytest.raises(ValueError, match=message):
        claims.load_claims(tmp_path / "claims.tsv")
