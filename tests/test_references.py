import json

import pytest

from helpers.course import references
from helpers.course.references import NOTEBOOKS, fill, fill_notebook, spelled_out, texts

PROSE = "It is [32 times](#speed.up) as fast, or [twice](#other), no: [32×](#speed.up)."


@pytest.fixture
def folder(write_notebook):
    return write_notebook(PROSE.replace("[twice](#other)", "slow"), name="06_search.ipynb").parent


def test_a_reference_is_filled_with_what_the_lesson_states(folder):
    assert texts("06_search", "speed.up", folder) == ["32 times", "32×"]
    assert fill("A lead of [](06_search.ipynb#speed.up).", folder) == "A lead of [32 times](06_search.ipynb#speed.up)."
    assert spelled_out("A lead of {06_search#speed.up}.", folder) == "A lead of 32 times."


def test_an_old_number_is_replaced_and_another_wording_of_the_same_one_stays(folder):
    old, other = "[31 times](notebooks/06_search.ipynb#speed.up)", "[32×](notebooks/06_search.ipynb#speed.up)"
    assert fill(old, folder) == old.replace("31", "32")
    assert fill(other, folder) == other


@pytest.mark.parametrize("reference", ["06_search#gone", "07_missing#speed.up"])
def test_a_number_that_no_lesson_states_is_named(folder, reference):
    with pytest.raises(LookupError, match=reference):
        spelled_out(f"A lead of {{{reference}}}.", folder)


def test_links_that_are_no_references_are_left_alone(folder):
    text = '[41 %](#score "±2"), [S27](../CLAIMS.md#s27), [lesson 06](06_search.ipynb), {braces}, {"json": 1}'
    assert fill(text, folder) == spelled_out(text, folder) == text


def test_a_notebook_is_written_only_if_a_number_moved(write_notebook):
    write_notebook(PROSE.replace("[twice](#other)", "slow"), name="06_search.ipynb")
    path = write_notebook("Lesson 06: [](06_search.ipynb#speed.up).", ["1 + 1", ""], name="10_answer.ipynb")
    assert fill_notebook(path, path.parent)
    assert not fill_notebook(path, path.parent)
    cells = json.loads(path.read_text("utf-8"))["cells"]
    assert "[32 times](06_search.ipynb#speed.up)" in "".join(cells[0]["source"])
    assert cells[1]["execution_count"] == 1


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("[0-9]*.ipynb")), ids=lambda path: path.stem)
def test_the_references_of_the_lessons_are_in_step(path):
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        if cell["cell_type"] == "markdown":
            source = "".join(cell["source"])
            assert references.fill(source) == source, "run `make docs`"


def test_the_references_of_the_readme_are_in_step():
    text = (NOTEBOOKS.parent / "README.md").read_text("utf-8")
    assert references.fill(text) == text, "run `make docs`"
