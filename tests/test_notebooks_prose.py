"""What every notebook of the course keeps to. That each rule can fail is tested on notebooks made to break it."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

from helpers.course.claims import load_claims
from helpers.course.prose import PIECE, markdown_cells, stated, unlinked

NOTEBOOKS = sorted(Path(__file__).parents[1].glob("notebooks/*.ipynb"))


def code_cells(path):
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


def numbers_that_cannot_be_read(path):
    try:
        list(stated(path))
    except ValueError as error:
        return [str(error)]
    return []


def numbers_bound_to_nothing(path):
    return unlinked(path)


def names_that_no_cell_defines(path):
    defined = set()
    for cell in code_cells(path):
        for node in ast.walk(ast.parse(TransformerManager().transform_cell(cell.source))):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                defined.add(node.id)
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                defined.add(node.name)
            elif isinstance(node, ast.alias):
                defined.add((node.asname or node.name).partition(".")[0])
    return [f"cell {s.cell}: [{s.text}](#{s.name})" for s in stated(path) if re.match(r"\w+", s.name)[0] not in defined]


def claims_that_the_ledger_has_not(path):
    known = {f"../CLAIMS.md#{claim.id.lower()}" for claim in load_claims()}
    targets = [piece["target"] for _, source in markdown_cells(path) for piece in PIECE.finditer(source)]
    return [target for target in targets if target and "CLAIMS.md#" in target and target not in known]


def last_cell_that_checks_nothing(path):
    last = nbformat.read(path, 4).cells[-1]
    checks = last.cell_type == "code" and last.source.strip().endswith(f'check("{path.name}")')
    return [] if checks and "nbval-ignore-output" in last.metadata.get("tags", []) else [last.source]


def cells_not_of_one_clean_run(path):
    "nbval compares nothing where the execution count is missing."
    counts = [cell.execution_count for cell in code_cells(path)]
    return [] if counts == list(range(1, len(counts) + 1)) else counts


def errors_among_the_outputs(path):
    outputs = [output for cell in code_cells(path) for output in cell.outputs]
    return [output.evalue for output in outputs if output.output_type == "error"]


def cells_of_more_than_15_lines(path):
    return [cell.source for cell in code_cells(path) if sum(map(bool, map(str.strip, cell.source.splitlines()))) > 15]


def images_without_alternative_text(path):
    bare = re.compile(r"!\[\s*\]\(|<img(?![^>]*\balt=['\"]\w)")
    return [f"cell {cell}" for cell, source in markdown_cells(path) if bare.search(source)]


RULES = [
    numbers_that_cannot_be_read,
    numbers_bound_to_nothing,
    names_that_no_cell_defines,
    claims_that_the_ledger_has_not,
    last_cell_that_checks_nothing,
    cells_not_of_one_clean_run,
    errors_among_the_outputs,
    cells_of_more_than_15_lines,
    images_without_alternative_text,
]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_notebook_has_no(rule, path):
    assert rule(path) == []


GOOD = [
    "# Lesson 01\n\nIt is [0.57](#best.x), not the [15 points](../CLAIMS.md#r26) of ![the curve](curve.png).",
    ["%matplotlib inline\nimport numpy as np\nfrom a.b import c as best", ""],
    ["print(best.x)\n\n" + "y = 1\n" * 14, "0.57\n"],
    ['from helpers.course.stated import check\n\ncheck("01_tiny.ipynb")', ""],
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_good_notebook_breaks_no_rule(rule, write_notebook):
    assert rule(write_notebook(*GOOD)) == []


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (numbers_that_cannot_be_read, "(#best.x)", '(#best.x \\"≥ 0.6\\")'),
        (numbers_bound_to_nothing, "[0.57](#best.x)", "57%"),
        (names_that_no_cell_defines, "(#best.x)", "(#worst.x)"),
        (claims_that_the_ledger_has_not, "#r26", "#r99"),
        (claims_that_the_ledger_has_not, "../CLAIMS.md", "CLAIMS.md"),
        (last_cell_that_checks_nothing, "01_tiny.ipynb", "02_other.ipynb"),
        (last_cell_that_checks_nothing, "nbval-ignore-output", "other"),
        (cells_not_of_one_clean_run, '"execution_count": 2', '"execution_count": 3'),
        (cells_not_of_one_clean_run, '"execution_count": 2', '"execution_count": null'),
        (errors_among_the_outputs, '"output_type": "stream"', '"output_type": "error", "evalue": "no"'),
        (cells_of_more_than_15_lines, "y = 1\\n", "y = 1\\ny = 1\\n"),
        (images_without_alternative_text, "![the curve]", "![]"),
        (images_without_alternative_text, "![the curve](curve.png)", "<img src='curve.png'>"),
    ],
)
def test_each_rule_finds_what_breaks_it(rule, good, bad, write_notebook):
    path = write_notebook(*GOOD)
    text = path.read_text("utf-8")
    assert good in text
    path.write_text(text.replace(good, bad), "utf-8")
    assert rule(path)
