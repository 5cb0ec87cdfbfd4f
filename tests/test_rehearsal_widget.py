"""The rehearsal's widgets, used as a browser would use them: fields are filled in, buttons are clicked."""

import asyncio
import threading
import time
from datetime import datetime, timedelta

import ipywidgets as widgets
import pytest

from helpers.course.rehearsal import bank as banks
from helpers.course.rehearsal import core, widget
from helpers.course.rehearsal.log import Log
from helpers.course.rehearsal.session import Session
from helpers.course.rehearsal.widget import interview


class Clock:
    def __init__(self):
        self.now = datetime.fromisoformat("2026-01-31T20:15:00+01:00")

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(scope="module")
def bank():
    "Two questions, so that the encoder is quickly ready."
    return banks.Bank({question.id: question for question in list(banks.load())[:2]})


@pytest.fixture
def show(tmp_path, bank, clock, monkeypatch):
    "show(): a new interview with the same log. All are closed in the end, and none leaves a thread."
    monkeypatch.setattr(widget, "BEAT", 0.01)
    shown = []

    def new(home=tmp_path, **plan):
        shown.append(interview(Session(home, bank, core.Plan(**plan), clock)))
        return shown[-1]

    yield new
    for made in shown:
        made.close()
    until(lambda: not watching())


def watching():
    return [thread for thread in threading.enumerate() if thread.name == "rehearsal"]


def until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def press(made, event, **values):
    "Fill in fields, click a button; returns the stage then."
    for name, value in values.items():
        made.fields[name].value = value
    made.buttons[event].click()
    return made.session.view.stage


def read(made):
    "All HTML on the screen, from top to bottom."
    return "\n".join(child.value for child in made.children if isinstance(child, widgets.HTML))


def drafts(made):
    return [event["text"] for event in Log(made.session.log.path.parent).read()[0] if event["event"] == "draft"]


DONE = {"question": {"text": "It compares the query with every vector."}, "follow-up": {"text": ""},
        "claim": {"claimed": "no"}, "judge": {"said": "no"}, "compare": {"grade": "good"}}  # fmt: skip


def walk(made):
    "Go on, always with the main button, to the report. Returns the stages on the way."
    stages = [press(made, "start")]
    while stages[-1] != "report":
        stages.append(press(made, next(iter(made.buttons)), **DONE.get(stages[-1], {})))
    return stages


def test_the_screen_shows_the_view(show):
    made = show()
    view = made.session.view
    assert list(made.fields) == [field.name for field in view.fields]
    assert [field.description for field in made.fields.values()] == [field.label for field in view.fields]
    assert {type(field) for field in made.fields.values()} == {widgets.RadioButtons, widgets.IntText}
    assert [button.description for button in made.buttons.values()] == ["Start"]
    assert view.heading in [child.value for child in made.children if isinstance(child, widgets.Label)]
    assert view.blocks[0].text in read(made)
    assert "0x" not in repr(made)
    assert not made.session.log.path.exists()


@pytest.mark.parametrize(
    "mode, expected",
    [
        ("mock", {"question", "hints", "claim", "follow-up", "compare", "graded", "report"}),
        ("drill", {"question", "hints", "claim", "follow-up", "compare", "graded", "report"}),
        ("flags", {"judge", "judged", "report"}),
        ("flashcards", {"recall", "compare", "graded", "report"}),
    ],
)
def test_each_mode_from_start_to_end(show, mode, expected):
    made = show(mode=mode, minutes=2)
    assert set(walk(made)) == expected
    assert press(made, "again") == "choose"
    assert made.fields["mode"].value == mode
    walk(made)
    assert press(made, "finish") == "end"
    assert not made.buttons


def test_hints_quote_and_the_report_has_a_figure_with_text(show):
    made = show(minutes=1)
    press(made, "start")
    point = made.session.bank[made.session.log.read()[0][0]["questions"][0]].points[0]
    press(made, "answer", text=f"Nothing else. {point.phrases[0]}.")
    assert f"Mentioned: “{point.phrases[0]}.”" in read(made)
    assert "Not found" in read(made)
    press(made, "continue")
    while "grade" not in made.buttons:
        press(made, next(iter(made.buttons)), **DONE[made.session.view.stage])
    press(made, "grade", grade="easy")
    assert "Due again" in read(made)
    press(made, "continue")
    assert 'alt="One session so far: about Easy' in read(made)


def test_what_is_typed_comes_back_without_a_submit(show):
    made = show(minutes=1)
    press(made, "start")
    made.fields["text"].value = "half an ans"
    until(lambda: drafts(made) == ["half an ans"])
    made.fields["text"].value = "half an answ"
    made.close()  # at once
    again = show(minutes=1)
    press(again, "start")
    assert again.fields["text"].value == "half an answ"
    press(again, "leave", text="half an answer")
    assert drafts(made)[-1] == "half an answer"
    third = show(minutes=1)
    press(third, "start")
    assert third.fields["text"].value == "half an answer"


def test_the_time_counts_and_goes_on(show, clock):
    made = show(minutes=1)
    press(made, "start")
    allowed = made.session.view.timer.seconds
    assert "Time: 0:00 of " in read(made)
    clock.now += timedelta(seconds=65)
    until(lambda: "Time: 1:05" in read(made) or allowed < 65)
    clock.now += timedelta(seconds=allowed)
    until(lambda: "overtime 1:05" in read(made))
    assert press(made, "answer", text="Late.") == "hints"
    assert "1:05 over" in read(made)
    until(lambda: not watching())


def test_untimed_has_no_time(show):
    made = show(minutes=1, timed=False)
    press(made, "start")
    assert 'role="timer"' not in read(made) and "Time" not in read(made)


def test_a_forgotten_widget_rests_until_the_next_keystroke(show, clock):
    made = show(minutes=1)
    press(made, "start")
    clock.now += timedelta(hours=3)
    until(lambda: not watching())
    made.fields["text"].value = "back again"
    until(lambda: drafts(made) == ["back again"])


def test_errors_stand_beside_the_field_and_nothing_is_lost(show):
    made = show(minutes=1)
    assert press(made, "start", minutes=500) == "choose"
    row = list(made.children)
    assert "must be a whole number from 1 to 240" in row[row.index(made.fields["minutes"]) + 1].value
    assert 'role="alert"' in read(made)
    assert press(made, "start", minutes=1) == "question"
    assert press(made, "answer", text=" \n") == "question"
    row = list(made.children)
    assert "nothing is typed yet" in row[row.index(made.fields["text"]) + 1].value
    press(made, "answer", text="Good.")
    press(made, "continue")
    assert press(made, "claim") == "claim"
    row = list(made.children)
    assert "nothing is chosen yet" in row[row.index(made.fields["claimed"]) + 1].value
    assert not made.buttons["claim"].disabled


def test_a_log_that_cannot_be_written_is_said_and_the_text_stays(show):
    made = show(minutes=1)
    press(made, "start")
    path = made.session.log.path
    path.unlink()
    path.mkdir()
    made.fields["text"].value = "typed meanwhile"
    until(lambda: "not kept yet" in read(made))
    assert press(made, "answer") == "question"
    assert "Problem" in read(made)
    path.rmdir()
    until(lambda: drafts(made) == ["typed meanwhile"])
    until(lambda: "not kept yet" not in read(made))
    assert press(made, "answer") == "hints"


def test_damage_of_the_log_is_said_first(show, tmp_path):
    (tmp_path / "rehearsal.jsonl").write_text("{half a li")
    assert "line 1 of rehearsal.jsonl was skipped" in read(show())


def test_what_is_typed_is_never_markup(show):
    made = show(minutes=1)
    press(made, "start")
    press(made, "answer", text="<script>alert(1)</script> <img src=x onerror=alert(2)> & so on.")
    seen = [read(made)]
    press(made, "continue")
    while "grade" not in made.buttons:
        press(made, next(iter(made.buttons)), **DONE[made.session.view.stage] | (
            {"text": "<b>too</b>"} if "text" in made.fields else {}))  # fmt: skip
        seen.append(read(made))
    assert not any("<script" in html or "<img src=x" in html or "<b>too" in html for html in seen)
    assert "&lt;script&gt;" in seen[-1] and "&amp; so on" in seen[-1] and "&lt;b&gt;too" in seen[-1]


def test_lines_become_paragraphs_lists_and_tables():
    html = widget._lines("- one\n  still one\n- two\n\nend\na   b")
    items = '<ul><li dir="auto">one<br>still one</li><li dir="auto">two</li></ul>'
    assert html == f'{items}<p dir="auto"></p><p dir="auto">end</p><pre dir="auto">a   b</pre>'
    assert widget._lines("- a  b", as_typed=True) == '<p dir="auto">- a  b</p>'


def test_two_widgets_at_once(show):
    one, two = show(minutes=1), show(mode="flags", minutes=1)
    press(one, "start")
    press(two, "start")
    one.fields["text"].value = "mine"
    assert press(two, "judge", said="no") == "judged"
    until(lambda: drafts(one) == ["mine"])
    assert press(one, "answer") == "hints"
    events, skipped = one.session.log.read()
    assert len({event["session"] for event in events}) == 2 and not skipped


def test_a_second_click_does_nothing(show):
    made = show(minutes=2, mode="flags")
    press(made, "start")
    made.fields["said"].value = "no"
    button = made.buttons["judge"]
    button.click()
    button.click()
    assert made.session.view.stage == "judged"


def test_keystrokes_that_arrive_after_the_click_are_submitted_too(show, monkeypatch):
    made = show(minutes=1)
    press(made, "start")

    async def type_and_click():
        made.fields["text"].value = "The first half"
        made.buttons["answer"].click()
        assert made.buttons["answer"].disabled
        for text in ("The first half and", "The first half and the second."):
            await asyncio.sleep(0.05)
            made.fields["text"].value = text
        while made.session.view.stage == "question":
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(type_and_click(), 60))
    answered = [event["text"] for event in made.session.log.read()[0] if event["event"] == "answered"]
    assert answered == ["The first half and the second."]
