import nbformat.v4 as v4
import pytest


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
