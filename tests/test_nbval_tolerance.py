import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.course import nbval_tolerance
from helpers.course.nbval_tolerance import Shown


@pytest.mark.parametrize(
    ("stored", "rerun"),
    [
        ("accuracy 0.732", "accuracy 0.733"),
        ("accuracy 0.732.", "accuracy 0.731."),
        ("-0.00", "0.00"),
        ("0.300", " 0.30 "),
        ("loss 1.00e-05", "loss 9.99e-06"),
        ("0.30000000000000004", "0.3"),
        ("a  0.5\nb 12.25", "a 0.6\nb    12.24"),
        ("it took 0.12s", "it took 0.13s"),
    ],
)
def test_decimals_may_differ_by_one_unit_of_the_last_digit(stored, rerun):
    assert Shown(stored) == rerun and Shown(rerun) == stored


@pytest.mark.parametrize(
    ("stored", "rerun"),
    [
        ("accuracy 0.732", "accuracy 0.734"),
        ("accuracy 0.732", "precision 0.732"),
        ("5 folds", "6 folds"),
        ("43%", "44%"),
        ("0.5", "0.5499"),
        ("0.5", "0.5 0.5"),
        ("nan", "0.5"),
        ("loss 1.00e-05", "loss 1.00e-06"),
        ("torch 2.13.0", "torch 2.12.0"),
    ],
)
def test_more_than_that_or_other_words_are_another_output(stored, rerun):
    assert Shown(stored) != rerun and Shown(rerun) != stored


@given(st.integers(-(10**6), 10**6), st.integers(1, 6), st.integers(-5, 5))
def test_the_limit_is_one_unit(whole, places, units):
    stored, rerun = (f"{n * 10**-places:.{places}f}" for n in (whole, whole + units))
    assert (Shown(stored) == rerun) is (abs(units) <= 1)


@given(st.text())
def test_every_text_equals_itself(text):
    assert Shown(text) == text
    assert not Shown(text).__ne__(text)  # what nbval asks


def test_nbval_reruns_notebooks_with_this_tolerance(write_notebook):
    check = "from helpers.course.stated import check\ncheck({!r}, changes=[])"
    holds = write_notebook(
        "Accuracy is [0.73](#x).",
        ["x = 0.7321\nprint(f'{x:.3f} of 5 folds')", "0.733 of 5 folds\n"],
        ["import sys\nprint('a warning', file=sys.stderr)", ""],
        [
            "from IPython.display import HTML, display\ndisplay(HTML('<p>2</p>'))",
            {"text/html": "<p>1</p>", "text/plain": "<IPython.core.display.HTML object>"},
        ],
        [check.format("holds.ipynb"), ""],
        name="holds.ipynb",
    )
    differs = write_notebook(
        "Accuracy is [0.75](#x).",
        ["x = 0.7321\nprint(f'{x:.3f} of 5 folds')", "0.735 of 5 folds\n"],
        ["print('6 folds')", "5 folds\n"],
        [check.format("differs.ipynb"), ""],
        ["print('after it')", "after it\n"],
        name="differs.ipynb",
    )
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-rA", "--color=no", "-c", os.devnull]
    command += [
        "-p",
        "helpers.course.nbval_tolerance",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        holds.parent,
        holds,
        differs,
    ]
    run = subprocess.run(command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True)
    outcomes = dict(
        reversed(pair) for pair in re.findall(r"^(PASSED|FAILED) \S*?(\w+\.ipynb::Cell \d)", run.stdout, re.M)
    )
    assert outcomes == {
        "holds.ipynb::Cell 0": "PASSED",
        "holds.ipynb::Cell 1": "PASSED",
        "holds.ipynb::Cell 2": "PASSED",
        "holds.ipynb::Cell 3": "PASSED",
        "differs.ipynb::Cell 0": "FAILED",
        "differs.ipynb::Cell 1": "FAILED",
        "differs.ipynb::Cell 2": "FAILED",
    }, run.stdout + run.stderr
    assert "1 skipped" in run.stdout
    assert "NotReproduced: 1 of 1 numbers stated in differs.ipynb" in run.stdout
    assert "x: stated 0.75 (last digit ±1), measured 0.7321; cell 1: “Accuracy is 0.75.”" in run.stdout


def test_progress_bars_are_not_compared():
    bar = {"data": {"text/plain": "encoding:   0%|          | 0/25 [00:00<?, ?batch/s]"}}
    table = {"data": {"text/plain": "accuracy   60% of 5/7 | 3"}}
    seen = []
    compared = nbval_tolerance._without_progress_bars(lambda *outputs: seen.append(outputs))
    compared([bar, table], [table])
    assert seen == [([table], [table], None)]
