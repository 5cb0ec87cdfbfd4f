"""What is made from the notebooks, drawn for them, or shown in them."""

import base64

import numpy as np
import pytest

from helpers import plots
from helpers.assistant import Assistant, Config
from helpers.course import answers, highlights, widgets
from helpers.evaluation import Interval
from helpers.training import History


def test_answers_and_picture_are_those_of_the_notebooks():
    assert (answers.ROOT / "ANSWERS.md").read_text("utf-8") == answers.render(), "run `make docs`"
    assert (answers.ROOT / "notebooks/images/baseline.png").read_bytes() == answers.picture(), "run `make docs`"


def test_links_of_an_answer_lead_from_the_top_of_the_repository():
    text = '[41 %](#score "±2"), ([I08](../CLAIMS.md#i08)), [lesson](02_regularization.ipynb)'
    assert answers._relinked(text, "00_the_question.ipynb") == (
        "[41 %](notebooks/00_the_question.ipynb#score), ([I08](CLAIMS.md#i08)), "
        "[lesson](notebooks/02_regularization.ipynb)"
    )


def test_a_section_ends_where_the_next_one_begins():
    prose = "# T\n\n## What to say\n\nThis.\n\n### And\n\nThat.\n\n## Never say\n\nNo.\n"
    assert answers._section(prose, "What to say") == "### What to say\n\nThis.\n\n#### And\n\nThat.\n"
    assert answers._section(prose, "On your own system") == ""


def test_readmes_highlights_are_those_of_the_lessons():
    page = highlights.README.read_text("utf-8")
    assert page == highlights.placed(page, highlights.render()), "run `make docs`"


def test_a_highlight_quotes_the_ledger_and_its_number_is_a_reference(monkeypatch):
    measured = "IVF is [](06_vector_search.ipynb#times_sure) as fast"
    row = highlights.Highlight("S26", measured, "06_vector_search.ipynb")
    monkeypatch.setattr(highlights, "HIGHLIGHTS", (row,))
    *_, last = highlights.render().splitlines()
    assert last.startswith("| IndexFlatL2 is approximate search ([S26](CLAIMS.md#s26)) | IVF is [32 times](notebooks/")
    assert last.endswith(" | wrong | [06](notebooks/06_vector_search.ipynb) |")


@pytest.mark.parametrize(("claim", "number"), [("S99", "times_sure"), ("S26", "gone")])
def test_a_highlight_of_what_nobody_states_is_named(monkeypatch, claim, number):
    row = highlights.Highlight(claim, f"[](06_vector_search.ipynb#{number})", "06_vector_search.ipynb")
    monkeypatch.setattr(highlights, "HIGHLIGHTS", (row,))
    with pytest.raises(LookupError, match="S99" if claim == "S99" else "gone"):
        highlights.render()


def test_the_table_replaces_what_stood_between_the_markers():
    page = f"Before.\n{highlights.START}\nold\n{highlights.END}\nAfter.\n"
    once = highlights.placed(page, "| new |")
    assert once == f"Before.\n{highlights.START}\n\n| new |\n\n{highlights.END}\nAfter.\n"
    assert highlights.placed(once, "| new |") == once
    with pytest.raises(ValueError, match="the page needs one line"):
        highlights.placed("no markers", "| new |")


CURVES = History(*(np.linspace(1, share, 12).reshape(2, 6) for share in (0.1, 0.9, 0.5, 0.4)))
FIGURES = {
    "curves": lambda: plots.learning_curves({"100": CURVES, "300": CURVES}, "Losses fall"),
    "bars": lambda: plots.bars({"a": 0.2, "b": Interval(0.5, 0.4, 0.6)}, "Two bars", "share", ("guess", 0.3)),
    "groups": lambda: plots.grouped_bars({"x": {"a": 0.1, "b": Interval(0.2, 0.1, 0.3)}}, "One", "share", ("g", 0.5)),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_says_its_conclusion_and_labels_its_axes(name):
    figure = FIGURES[name]()
    data, metadata = figure._repr_mimebundle_()
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert data["text/plain"] == f"Figure: {figure.get_suptitle()}"
    assert metadata["image/png"]["alt"] == figure.get_suptitle() != ""
    assert any(axis.get_xlabel() or axis.get_ylabel() for axis in figure.axes)


@pytest.fixture
def asked():
    "The widget, its field, its button, and the text that it shows."
    box = widgets.ask_anything(Assistant(), "What is the default of tol in sklearn.linear_model.Ridge?")
    field, button, shown = box.children
    return field, button, lambda: "".join(output.get("text", "") for output in shown.outputs)


def test_the_widget_shows_an_answer_at_once(asked):
    assert asked[2]().startswith("Answer: 0.0001   (tool: signature lookup)\n  1.000  sklearn.linear_model.Ridge\n")


def test_the_widget_answers_the_next_question_when_the_button_is_clicked(asked):
    field, button, text = asked
    field.value = "What is the default of axis in numpy.linalg.vecdot?"
    button.click()
    assert text().startswith("Answer: -1 ")


def test_the_widget_says_what_is_wrong_with_an_empty_question(asked):
    field, button, text = asked
    field.value = "  "
    button.click()
    assert text() == "question must be a text that asks something, got '  '\n"


def test_the_widget_shows_prompt_and_next_token_where_the_model_answered():
    assistant = Assistant(Config(keyword_threshold=4))
    *_, shown = widgets.ask_anything(assistant, "What is the default of axis in numpy.linalg.vecdot?").children
    text, figure = shown.outputs
    assert "What the model read:\nkitchen.bake(" in text["text"]
    assert figure["data"]["text/plain"] == "Figure: The model's next token"
    assert isinstance(figure["data"]["image/png"], str), "a browser shows text, not bytes"


def test_the_next_token_after_the_equals_sign_is_copied_from_the_signature():
    assistant = Assistant(Config(keyword_threshold=4))
    prompt = "f(x, order=7)\nReturn x.\nWhat is the default of order in f?\norder"
    figure = widgets.next_tokens(assistant.language_model, prompt, following="=")
    assert figure.axes[0].get_yticklabels()[0].get_text() == "'7'"
