import os

import nbformat.v4 as v4
import pytest
from hypothesis import settings

settings.register_profile("course", deadline=None, max_examples=60)  # no deadline: machines differ in speed
settings.load_profile("course")


def pytest_configure():
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: results to the digit, and no wait for a busy core


# the real parts, loaded once a session and only if a test asks for them


@pytest.fixture(scope="session")
def documents():
    from helpers.assistant import corpus

    return corpus.load_documents()


@pytest.fixture(scope="session")
def library():
    from helpers import baseline

    return baseline.library()


@pytest.fixture(scope="session")
def lm():
    from helpers.assistant import models

    return models.language_model()


@pytest.fixture
def write_notebook(tmp_path):
    """write_notebook("prose", ["code", "printed"], ["code", {"text/html": ...}], ...) -> path of a notebook run once.

    If its last cell is code, that has the tag of the check cell.
    """

    def write(*cells, name="01_tiny.ipynb"):
        notebook, count = v4.new_notebook(), 0
        for cell in cells:
            if isinstance(cell, str):
                notebook.cells.append(v4.new_markdown_cell(cell))
                continue
            count += 1
            source, shown = cell
            if isinstance(shown, dict):
                outputs = [v4.new_output("display_data", data=shown)]
            else:
                outputs = [v4.new_output("stream", name="stdout", text=shown)] if shown else []
            notebook.cells.append(v4.new_code_cell(source, execution_count=count, outputs=outputs))
        if cells and not isinstance(cells[-1], str):
            notebook.cells[-1].metadata["tags"] = ["nbval-ignore-output"]
        path = tmp_path / name
        path.write_text(v4.writes(notebook), "utf-8")
        return path

    return write
