"""The lesson's notebook runs beside a learner's own progress and leaves it as it is."""

import json
import os
import sys

import nbformat
import pytest
from nbclient import NotebookClient

from helpers.course.rehearsal.bank import NOTEBOOKS
from helpers.course.rehearsal.log import NAME

DAMAGED = b'{"v": 1, "event": "graded", "question": "half a li'


@pytest.mark.parametrize("variable", ["REHEARSAL_HOME", "XDG_DATA_HOME"])
def test_the_notebook_neither_changes_nor_shows_the_learners_own_progress(monkeypatch, tmp_path, variable):
    if variable == "XDG_DATA_HOME" and sys.platform != "linux":
        pytest.skip("where the system keeps the user's data is asked of the environment on Linux alone")
    monkeypatch.delenv("REHEARSAL_HOME", raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    home = tmp_path if variable == "REHEARSAL_HOME" else tmp_path / "improve-and-scale"
    home.mkdir(exist_ok=True)
    (home / NAME).write_bytes(DAMAGED)
    notebook = nbformat.read(NOTEBOOKS / "11_rehearsal.ipynb", 4)
    stored = [cell.get("outputs") for cell in notebook.cells]
    client = NotebookClient(notebook, timeout=170, resources={"metadata": {"path": str(NOTEBOOKS)}})
    client.execute(env=dict(os.environ))
    assert (home / NAME).read_bytes() == DAMAGED
    assert {path.name for path in home.iterdir()} == {NAME}
    for before, cell in zip(stored, notebook.cells, strict=True):
        if "widget.interview" in cell.source and cell.cell_type == "code":
            assert _shown(cell.outputs) == _shown(before) != []


def _shown(outputs):
    return [json.dumps(output["data"]["text/plain"]) for output in outputs if "data" in output]
