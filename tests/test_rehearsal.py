"""The rehearsal without a screen: bank, core, hints, schedule, log, report, Anki."""

import dataclasses
import json
import multiprocessing
import sqlite3
import zipfile
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from helpers.course.claims import load_claims
from helpers.course.references import texts
from helpers.course.rehearsal import anki, bank, core, demonstration, hints, limits, report, schedule
from helpers.course.rehearsal.log import Log
from helpers.course.rehearsal.progress import Progress, replay
from helpers.course.rehearsal.session import Session

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def questions():
    return bank.load()


class Clock:
    "A minute later at every look."

    def __init__(self, at=NOON):
        self.at = at

    def __call__(self):
        self.at += timedelta(minutes=1)
        return self.at


def choose(mode="mock", **others):
    "The first form; the session's name draws the order of new questions."
    form = {"session": "one", "mode": mode, "topic": "any", "level": "any", "minutes": 6, "timed": "yes"}
    return form | others


def drive(session, typed="I would measure it first.", until="end", **chosen):
    "Send the main action of every view, with the values given or the last choice of each field. Returns all views."
    views = [session.view]
    while session.view.stage != until:
        view = session.view
        values = {"text": typed} | {f.name: f.choices[-1][0] for f in view.fields if f.kind == "choice"}
        values |= {name: value for name, value in chosen.items() if name in {f.name for f in view.fields}}
        action = view.actions[-1 if view.stage == "report" else 0].event
        names = {f.name for f in view.fields}
        views.append(session.send(action, **{name: value for name, value in values.items() if name in names}))
    return views


def stages(views):
    return [view.stage for view in views]


def said(view):
    return "\n".join(f"{block.label} {block.text}" for block in view.blocks)


# ---- the bank


def test_the_bank_has_at_least_40_questions_on_three_levels_over_the_lessons(questions):
    assert len(questions) >= 40
    assert {question.level for question in questions} == {1, 2, 3}
    assert len({question.lesson for question in questions}) >= 9


def test_every_measured_number_is_what_its_lesson_states_and_every_claim_is_in_the_ledger(questions):
    known = {claim.id for claim in load_claims()}
    for question in questions:
        assert "{" not in question.answer
        for wrong in question.wrong:
            assert wrong.claim in known
            assert wrong.number == texts(*wrong.refuted_by.split("#", 1))[0]


ENTRY = """
topic = "T"
lesson = "01_tiny"
[[question]]
id = "one"
level = 1
seconds = 90
ask = "Why?"
answer = "It was {01_tiny#speedup} as fast."
sources = ["01_tiny"]
""" + "".join(
    f'[[question.points]]\nid = "p{i}"\ntext = "t{i}"\nphrases = ["a", "b"]\nmust = {m}\nfollow_up = "f{i}"\n'
    for i, m in enumerate(("true", "false", "false"))
)
ENTRY += '[[question.wrong]]\nclaim = "S26"\nsays = "s"\nrefuted_by = "01_tiny#speedup"\nbecause = "b"\n'


@pytest.fixture
def load_entry(tmp_path, write_notebook):
    "load_entry(text) reads a bank of that one file, beside a lesson that states a speed-up of 32 times."
    write_notebook("# T\n\nIt is [32 times](#speedup) as fast.")

    def load(text):
        folder = tmp_path / "questions"
        folder.mkdir()
        (folder / "t.toml").write_text(text, "utf-8")
        bank.load.cache_clear()
        return bank.load(folder, tmp_path)

    return load


def test_a_question_is_read_with_its_numbers_filled_in(load_entry):
    question = load_entry(ENTRY)["one"]
    assert question.answer == "It was 32 times as fast."
    assert question.wrong[0].number == "32 times"


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ('refuted_by = "01_tiny#speedup"', 'refuted_by = "01_tiny#gone"', "t.toml, one: 01_tiny#gone: .* no number"),
        ("{01_tiny#speedup}", "{01_tiny#gone}", "01_tiny#gone"),
        ('refuted_by = "01_tiny#speedup"', 'refuted_by = "32 times"', "must be a number of a lesson"),
        ('claim = "S26"', 'claim = "S99"', "claim: no 'S99'"),
        ("level = 1", "level = 4", "level: 4 must be from 1 to 3"),
        ("level = 1", 'level = "1"', "level: '1' must be of type int"),
        ("seconds = 90", "seconds = 10", "seconds: 10 must be from 60 to 240"),
        ('ask = "Why?"\n', "", "ask: missing"),
        ('ask = "Why?"', 'ask = "Why?"\nhint = "x"', "hint: unknown"),
        ('ask = "Why?"', 'ask = " "', "ask: must not be empty"),
        ('id = "one"', 'id = "One more"', "kebab-case"),
        ('id = "p1"', 'id = "p0"', "'p0' is there twice"),
        ('phrases = ["a", "b"]', 'phrases = ["a"]', "phrases of p0: 1 must be from 2 to 4"),
        ("must = true", "must = false", "points with must = true: 0"),
        ('topic = "T"', "topic = T", "t.toml is not readable TOML"),
        ('topic = "T"', "", "topic: missing"),
    ],
)
def test_a_question_that_breaks_the_schema_is_named_with_its_mend(load_entry, good, bad, message):
    assert good in ENTRY
    with pytest.raises(ValueError, match=message):
        load_entry(ENTRY.replace(good, bad, 1))


@pytest.mark.parametrize(
    ("again", "message"), [("[[question]]", "'one' is there twice"), ("[[question.wrong]]", "'S26' is there twice")]
)
def test_nothing_is_there_twice(load_entry, again, message):
    with pytest.raises(ValueError, match=message):
        load_entry(ENTRY + ENTRY[ENTRY.index(again) :])


# ---- the interview


def test_a_mock_interview_goes_from_the_first_form_to_the_next_due_date(tmp_path, questions):
    session = Session(tmp_path, questions, clock=Clock())
    views = [session.view, session.send("start", **choose())]
    views += drive(session, until="graded", claimed="no", grade="good")[1:]
    seen = list(dict.fromkeys(stages(views)))
    assert seen[:4] == ["choose", "question", "hints", "claim"]
    assert seen[-2:] == ["compare", "graded"]
    assert "Due again in 2 days, 2 February 2026" in said(views[-1])
    drive(session, claimed="no", grade="easy")
    assert session.view.stage == "end"
    assert len(session.progress.reviews) >= 1


def question_of(session):
    ask = session.view.blocks[0].text
    return next(question for question in session.bank if question.ask == ask)


def test_hints_quote_the_sentence_and_never_say_correct_nor_give_a_percentage(tmp_path, questions):
    session = Session(tmp_path, questions, clock=Clock())
    session.send("start", **choose())
    question = question_of(session)
    view = session.send("answer", text=f"Let me think. {question.points[0].text}. That is all.")
    assert f"{question.points[0].text}\nMentioned: “{question.points[0].text}.”" in said(view)
    assert "They cannot tell right from wrong" in said(view)
    hinted = [block.text for block in view.blocks if block.label.startswith("Point")]
    for text, point in zip(hinted, question.points, strict=True):
        assert text.startswith((f"{point.text}\nMentioned: “", "Not found. What it is comes with the model answer."))
    note = next(block.text for block in view.blocks if block.style == "note")
    assert "correct" not in view.heading + note
    assert "%" not in view.heading + note


def test_a_missing_point_is_not_told_before_the_follow_ups_and_told_after_them(tmp_path, questions):
    session = Session(tmp_path, questions, clock=Clock())
    session.send("start", **choose())
    question = question_of(session)
    view = session.send("answer", text="Bananas are yellow.")
    assert not any(point.text in said(view) for point in question.points)
    compared = said(drive(session, until="compare", claimed="no", text="")[-1])
    assert all(f"{point.text}\nNot found" in compared for point in question.points)


def test_overtime_is_counted_and_nothing_is_cut_off(tmp_path, questions):
    clock = Clock()
    session = Session(tmp_path, questions, clock=clock)
    view = session.send("start", **choose())
    question = question_of(session)
    assert view.timer == core.Timer(clock.at.isoformat(timespec="milliseconds"), question.seconds)
    clock.at += timedelta(seconds=question.seconds + 35 - 60)  # the clock itself adds a minute
    view = session.send("answer", text="A late answer.")
    assert "0:35 over." in said(view)
    drive(session, until="graded")
    assert session.progress.reviews[-1].over == 35


def test_untimed_there_is_no_timer_and_no_overtime(tmp_path, questions):
    clock = Clock()
    session = Session(tmp_path, questions, clock=clock)
    assert session.send("start", **choose(timed="no")).timer is None
    clock.at += timedelta(hours=1)
    assert "over" not in said(session.send("answer", text="A slow answer."))[:200]
    drive(session, until="graded")
    assert session.progress.reviews[-1].over == 0


def test_red_flags_are_asked_the_resembling_one_first_and_all_are_refuted_at_the_end(tmp_path, questions):
    session = Session(tmp_path, questions, clock=Clock())
    view = session.send("start", **choose(minutes=240))
    while len(question_of(session).wrong) < 2:
        drive(session, until="graded", claimed="no")
        view = session.send("continue")
    question = question_of(session)
    last = question.wrong[-1]
    session.send("answer", text=f"{last.says}.")
    view = session.send("continue")
    assert view.stage == "claim"
    assert f"“{last.says}”" in said(view)
    assert f"{last.says}." in [block.text for block in view.blocks if block.style == "quote"]
    session.send("claim", claimed="yes")
    view = drive(session, until="compare", claimed="no")[-1]
    for wrong in question.wrong:
        assert f"“{wrong.says}” ({wrong.claim})" in said(view)
        assert wrong.because in said(view)
        assert f"Measured in lesson {wrong.refuted_by[:2]}: {wrong.number}." in said(view)
    assert said(view).count("You said that you claimed this") == 1
    session.send("grade", grade="again")
    assert session.progress.reviews[-1].claimed == (last.claim,)


def test_follow_ups_ask_for_the_musts_first_the_weakest_of_them_and_are_two_at_most(tmp_path, questions):
    session = Session(tmp_path, questions, clock=Clock())
    session.send("start", **choose())
    question = question_of(session)
    musts = {point.id for point in question.points if point.must}
    weakest = hints.read(question, "Bananas are yellow.").missing(musts)
    assert {hint.id for hint in weakest[: len(musts)]} == musts
    assert len(weakest) == len(question.points)
    session.send("answer", text="Bananas are yellow.")
    view = drive(session, until="follow-up", claimed="no")[-1]
    asked = {point.id: point.follow_up for point in question.points}
    assert asked[weakest[0].id] in said(view)
    view = session.send("reply", text="")
    assert asked[weakest[1].id] in said(view)
    assert "Not found" in said(view)
    assert session.send("reply", text="Nor that.").stage == "compare"


def test_a_reply_that_mentions_everything_ends_the_follow_ups(tmp_path, questions):
    session = Session(tmp_path, questions, clock=Clock())
    session.send("start", **choose())
    question = question_of(session)
    session.send("answer", text="Bananas are yellow.")
    drive(session, until="follow-up", claimed="no")
    assert session.send("reply", text="\n".join(p.text for p in question.points)).stage == "compare"
    session.send("grade", grade="hard")
    assert session.progress.reviews[-1].missing == ()


def test_due_questions_come_first_then_new_ones(tmp_path, questions):
    clock = Clock()
    first = Session(tmp_path, questions, clock=clock)
    first.send("start", **choose())
    asked = question_of(first).id
    drive(first, until="graded", grade="again")
    first.send("leave")
    clock.at += timedelta(days=1)
    second = Session(tmp_path, questions, clock=clock)
    assert "1 question due" in said(second.view)
    second.send("start", **choose())
    assert question_of(second).id == asked


def test_a_drill_brings_back_what_was_graded_again_and_an_interview_does_not(tmp_path, questions):
    for mode, times in (("drill", 1 + core.REPEATS), ("mock", 1)):
        session = Session(tmp_path / mode, questions, clock=Clock())
        session.send("start", **choose(mode, minutes=1))
        drive(session, grade="again", claimed="no")
        assert [review.grade for review in session.progress.reviews] == ["again"] * times


def test_flashcards_need_no_typing_and_are_scheduled(tmp_path, questions):
    session = Session(tmp_path, questions, clock=Clock())
    views = [session.send("start", **choose("flashcards")), *drive(session, grade="good")[1:]]
    assert set(stages(views)) == {"recall", "compare", "graded", "report", "end"}
    assert all(field.kind != "text" for view in views for field in view.fields)
    assert len(session.progress.cards) == len(session.progress.reviews) >= 2


def test_red_flags_alone_mix_true_statements_with_false_ones_and_show_the_evidence(tmp_path, questions):
    session = Session(tmp_path, questions, clock=Clock())
    session.send("start", **choose("flags", minutes=10))
    right = []
    false = {core.spoken(wrong.says): wrong for question in questions for wrong in question.wrong}
    true = {core.spoken(point.phrases[0]) for question in questions for point in question.points if point.must}
    while session.view.stage != "report":
        statement = session.view.blocks[1].text.strip("“”")
        view = session.send("judge", said="no")
        right.append(statement in false)
        assert (statement in true) != (statement in false)
        if statement in false:
            assert false[statement].because in said(view)
        session.send("continue")
    assert 0 < sum(right) < len(right) == 20
    assert f"{sum(right)} of 20 statements told right" in said(session.view)
    assert session.progress.cards == {}


def test_the_form_of_a_statement_does_not_tell_whether_it_is_true(questions):
    true = [core.spoken(point.phrases[0]) for question in questions for point in question.points if point.must]
    false = [core.spoken(wrong.says) for question in questions for wrong in question.wrong]
    for statements in (true, false):
        assert all(len(statement.split()) >= 4 and statement[0] == statement[0].upper() for statement in statements)
        assert 0.1 < np.mean([statement.startswith("I ") for statement in statements]) < 0.5
    lengths = [np.mean([len(statement.split()) for statement in statements]) for statements in (true, false)]
    assert max(lengths) < 1.3 * min(lengths)


def test_topic_and_level_are_kept_to(tmp_path, questions):
    topic = questions.topics[0]
    session = Session(tmp_path, questions, clock=Clock())
    level = str(next(question.level for question in questions if question.topic == topic))
    session.send("start", **choose("flashcards", topic=topic, level=level, minutes=60))
    drive(session, grade="good")
    asked = [questions[review.question] for review in session.progress.reviews]
    assert {(question.topic, str(question.level)) for question in asked} == {(topic, level)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "exam"}, "mode: 'exam' must be one of mock, drill, flags, flashcards"),
        ({"topic": "Cooking"}, "topic: 'Cooking'"),
        ({"level": "4"}, "level: '4' must be one of any, 1, 2, 3"),
        ({"minutes": "soon"}, "minutes: 'soon' must be a whole number from 1 to 240"),
        ({"minutes": 0}, "minutes: 0"),
        ({"timed": None}, "timed: nothing is chosen yet"),
    ],
)
def test_a_form_filled_in_wrongly_is_refused_by_name_and_nothing_has_happened(tmp_path, questions, change, message):
    session = Session(tmp_path, questions, clock=Clock())
    with pytest.raises(ValueError, match=message):
        session.send("start", **choose(**change))
    assert session.view.stage == "choose"
    assert not session.log.path.exists()


def test_events_that_do_not_fit_are_refused(tmp_path, questions):
    session = Session(tmp_path, questions, clock=Clock())
    with pytest.raises(ValueError, match="event: 'grade' does not fit in the stage 'choose'; there is draft, "):
        session.send("grade", grade="good")
    session.send("start", **choose())
    with pytest.raises(ValueError, match="nothing is typed yet"):
        session.send("answer", text=" \n")
    session.send("answer", text="Something.")
    drive(session, until="compare", claimed="no")
    with pytest.raises(ValueError, match="grade: nothing is chosen yet"):
        session.send("grade", grade=None)


def test_the_core_is_pure_and_its_state_and_views_cannot_be_changed(questions):
    at = NOON.isoformat()
    state, view = core.start(questions, Progress(), hints.read, at)
    event = {"event": "start", "at": at, **choose()}
    assert core.step(state, event)[1:] == core.step(state, event)[1:]
    assert state.stage == "choose"
    with pytest.raises(FrozenInstanceError):
        state.stage = "end"
    with pytest.raises(FrozenInstanceError):
        view.heading = ""
    with pytest.raises(ValueError, match="at: 'noon' must be a time with its offset"):
        core.step(state, event | {"at": "noon"})


# ---- nothing typed is lost


def test_what_was_typed_but_not_graded_comes_back_first(tmp_path, questions):
    session = Session(tmp_path, questions, clock=Clock())
    session.send("start", **choose())
    asked = question_of(session).id
    session.send("draft", text="Half a sen")
    session.send("draft", text="Half a sentence\nand more")
    assert session.send("leave").stage == "report"
    again = Session(tmp_path, questions, clock=Clock(NOON + timedelta(days=1)))
    assert "1 question begun and not graded" in said(again.view)
    view = again.send("start", **choose())
    assert question_of(again).id == asked
    assert view.fields[0].value == "Half a sentence\nand more"
    again.send("answer", text="Whole")
    third = Session(tmp_path, questions, clock=Clock(NOON + timedelta(days=2)))  # the second one crashed
    assert third.send("start", **choose()).fields[0].value == "Whole"


def test_where_the_log_cannot_be_written_nothing_moves_on(tmp_path, questions):
    session = Session(tmp_path, questions, clock=Clock())
    session.send("start", **choose())
    session.log.path.unlink()
    session.log.path.mkdir()  # as good as a disk that refuses
    with pytest.raises(OSError):
        session.send("answer", text="Dear to me.")
    assert session.view.stage == "question"
    session.log.path.rmdir()
    assert session.send("answer", text="Dear to me.").stage == "hints"


# ---- the log

EVENTS = [
    {"event": "graded", "at": NOON.isoformat(), "session": "s", "question": f"q{i}", "grade": "good", "seconds": 1.5,
     "over": 0.0, "missing": ["ä\u2028\ud800"], "claimed": []}
    for i in range(3)
]  # fmt: skip


@pytest.fixture
def log(tmp_path):
    made = Log(tmp_path)
    for event in EVENTS:
        made.append(event)
    return made


def graded(log):
    return [event["question"] for event in log.read()[0]]


def test_events_come_back_as_they_were_written(log):
    assert [{key: event[key] for key in event if key != "v"} for event in log.read()[0]] == EVENTS
    assert log.read()[1] == []
    for line in filter(str.strip, log.path.read_text("utf-8", "surrogatepass").split("\n")):
        assert json.loads(line)["v"] == 1


def test_a_last_line_cut_at_any_byte_costs_no_other_and_the_next_one_is_whole(log):
    whole = log.path.read_bytes()
    last = whole.rindex(b"\n", 0, -1)
    for cut in range(last, len(whole)):
        log.path.write_bytes(whole[:cut])
        kept = ["q0", "q1"] + (["q2"] if cut >= len(whole) - 1 else [])
        assert graded(log) == kept
        assert len(log.read()[1]) == (last + 1 < cut < len(whole) - 1)
        log.append({**EVENTS[0], "question": "next"})
        assert graded(log) == [*kept, "next"]


def test_any_damaged_byte_costs_its_own_line_at_most_and_is_told(log):
    whole = log.path.read_bytes()
    for place in range(len(whole)):
        for byte in (0, ord("\n"), whole[place] ^ 1):
            log.path.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
            events, skipped = log.read()
            left = [{key: event[key] for key in event if key != "v"} for event in events]
            assert left in ([*EVENTS[:k], *EVENTS[k + 1 :]] for k in range(3)) or left == EVENTS
            assert len(left) == 3 or "was skipped: it is damaged" in skipped[0]


def test_a_line_that_is_lost_or_of_another_version_is_named(log):
    log.path.write_bytes(log.path.read_bytes() + b"{}\n[1]\nnull\n" + b"[" * 100_000 + b"\n")
    log.append({"v": 2, "event": "graded"})
    events, skipped = log.read()
    assert len(events) == 3
    assert len(skipped) == 5
    assert "another version of the course (format 2, here 1)" in skipped[-1]


def _append(home, name, count):
    for i in range(count):
        Log(home).append({**EVENTS[0], "question": f"{name}{i}", "missing": ["x" * 20_000]})


def test_two_sessions_at_once_lose_nothing(tmp_path):
    processes = [multiprocessing.Process(target=_append, args=(tmp_path, name, 60)) for name in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    found = graded(Log(tmp_path))
    assert Log(tmp_path).read()[1] == []
    for name in "ab":
        assert [question for question in found if question[0] == name] == [f"{name}{i}" for i in range(60)]


def test_a_replay_skips_what_it_cannot_read_and_keeps_the_rest():
    changes = ({"event": "danced"}, {"grade": "super"}, {"at": "then"}, {"over": "0"})
    bad = [{**EVENTS[0], **change} for change in changes]
    progress, skipped = replay([EVENTS[0], *bad, EVENTS[1]])
    assert [review.question for review in progress.reviews] == ["q0", "q1"]
    assert len(skipped) == 4
    assert "grade: 'super' must be one of" in skipped[1]


def test_a_session_says_what_was_skipped_and_a_replay_equals_the_live_progress(tmp_path, questions):
    session = Session(tmp_path, questions, clock=Clock())
    session.send("start", **choose("flashcards"))
    drive(session, grade="good")
    again = Session(tmp_path, questions, clock=Clock())
    assert again.progress == session.progress
    assert again.skipped == ()
    with open(again.log.path, "ab") as file:
        file.write(b'{"v": 1, "event": "gra')
    assert "was skipped" in Session(tmp_path, questions, clock=Clock()).skipped[0]


def test_export_writes_a_new_file_and_delete_removes_the_log(log, tmp_path):
    assert log.export(tmp_path / "out.json") == 3
    exported = json.loads((tmp_path / "out.json").read_text())["events"]
    assert [event["question"] for event in exported] == ["q0", "q1", "q2"]
    with pytest.raises(FileExistsError, match="exists already: name a new file"):
        log.export(tmp_path / "out.json")
    assert log.delete()
    assert not log.delete()
    assert log.read() == ([], [])


def test_progress_lies_where_the_environment_says_and_is_made_when_needed(monkeypatch, tmp_path, questions):
    monkeypatch.setenv("REHEARSAL_HOME", str(tmp_path / "mine"))
    session = Session(bank=questions)
    assert not (tmp_path / "mine").exists()
    session.send("start", **choose("flashcards"))
    assert (tmp_path / "mine" / "rehearsal.jsonl").is_file()
    monkeypatch.delenv("REHEARSAL_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert "improve-and-scale" in str(Log().path)


# ---- the schedule


def intervals(grades, at=NOON):
    "Days from each review to the next date, reviewing on the day that it is due."
    card, days = None, []
    for grade in grades:
        card = schedule.review(card, "q", grade, at)
        days.append((schedule.due_date(card) - at.date()).days)
        at = card.due
    return days


def test_better_grades_wait_longer_and_intervals_grow():
    first = [intervals([grade])[0] for grade in schedule.GRADES]
    assert first == sorted(first)
    assert first[0] >= 1
    assert first[3] > first[2]
    assert intervals(["good"] * 5) == sorted(set(intervals(["good"] * 5)))
    assert intervals(["good", "good", "again"])[-1] < intervals(["good", "good"])[-1]


def test_the_schedule_has_no_chance_in_it():
    assert intervals(["good"] * 8) == intervals(["good"] * 8)
    assert schedule.review(None, "q", "hard", NOON) == schedule.review(None, "q", "hard", NOON)


def test_a_question_is_due_on_the_day_as_the_learner_counts_days():
    west = timezone(timedelta(hours=-8))
    card = schedule.review(None, "q", "again", datetime(2026, 1, 31, 22, 0, tzinfo=west))
    assert schedule.due_date(card).isoformat() == "2026-02-01"
    assert not schedule.is_due(card, datetime(2026, 1, 31, 23, 0, tzinfo=west))
    assert schedule.is_due(card, datetime(2026, 2, 1, 7, 0, tzinfo=west))


def test_the_hour_of_the_next_review_does_not_matter_only_the_day():
    berlin = ZoneInfo("Europe/Berlin")  # where clocks change on the night to 29 March 2026
    for day in (20, 28):
        card = schedule.review(None, "q", "again", datetime(2026, 3, day, 22, 0, tzinfo=berlin))
        found = {
            schedule.due_date(schedule.review(card, "q", "good", datetime(2026, 3, day + 1, hour, 0, tzinfo=berlin)))
            for hour in (0, 8, 22, 23)
        }
        assert len(found) == 1
        assert (found.pop() - schedule.due_date(card)).days == 2


def test_two_grades_on_one_day_are_less_than_two_on_two_days():
    card = schedule.review(None, "q", "again", NOON - timedelta(hours=8))
    same_day = schedule.review(card, "q", "good", NOON)
    next_day = schedule.review(card, "q", "good", NOON + timedelta(days=1))
    assert same_day.stability < next_day.stability


@pytest.mark.parametrize("wrong_day", [timedelta(days=-3), timedelta(days=1500)])
def test_after_a_day_with_a_wrong_clock_dates_count_from_today_again(wrong_day):
    card = schedule.review(None, "q", "good", NOON)
    card = schedule.review(card, "q", "good", NOON + wrong_day)
    card = schedule.review(card, "q", "again", NOON + timedelta(days=2))
    assert 0 < (schedule.due_date(card) - NOON.date()).days < 30


def test_a_clock_that_is_set_back_during_a_session_breaks_nothing(tmp_path, questions):
    clock = Clock()
    session = Session(tmp_path, questions, clock=clock)
    session.send("start", **choose())
    clock.at -= timedelta(days=3)
    drive(session, until="graded", claimed="no")
    assert session.progress.reviews[-1].seconds == 0


def test_two_sessions_that_grade_one_question_agree_with_the_log(tmp_path, questions):
    clock = Clock()
    first, second = (Session(tmp_path, questions, clock=clock) for _ in range(2))
    for session in (first, second):
        session.send("start", **choose(minutes=1))
        drive(session, until="compare", claimed="no")
    first.send("grade", grade="good")
    view = second.send("grade", grade="easy")
    replayed = replay(second.log.read()[0])[0]
    assert second.progress == replayed
    (card,) = replayed.cards.values()
    assert schedule.in_words(schedule.due_date(card), clock.at.date()) in said(view)


# ---- hints


def test_a_point_said_in_its_own_words_is_mentioned_and_another_subject_is_not(questions):
    for question in list(questions)[::7]:
        reading = hints.read(question, "\n".join(point.phrases[0] for point in question.points))
        assert reading.missing() == ()
        off = hints.read(question, "My cat sleeps on the sofa. We had soup for lunch.")
        assert len(off.missing()) == len(question.points)
        assert not any(hint.mentioned for hint in off.claims)


def test_a_hint_quotes_the_closest_sentence_as_it_was_typed(questions):
    question = next(iter(questions))
    typed = f"Well…\n- {question.points[1].text}!  And so on"
    hint = hints.read(question, typed).points[1]
    assert hint.quote == f"{question.points[1].text}!"


@given(st.text(max_size=1500))
def test_no_answer_breaks_the_cutting_into_sentences_and_no_letter_is_lost(text):
    pieces = hints.sentences(text)
    assert all(piece and hints._length(piece) <= hints.LONGEST for piece in pieces)
    kept = {letter for letter in text if letter.isalnum()}
    assert kept == {letter for piece in pieces for letter in piece if letter.isalnum()}


@pytest.mark.parametrize("text", ["", " \n ", "...", "한" * 3000, "x" * 5000, "🙂 " * 2000, "word " * 600, "İ" * 2000])
def test_any_answer_can_be_read(questions, text):
    assert len(hints.read(next(iter(questions)), text).points) >= 3


# ---- the limits of the hints


def test_the_frozen_pairs_hold_every_kind_for_every_point_and_no_phrase_of_the_bank(questions):
    pairs = limits.load_pairs()
    assert len(pairs) >= 150
    kinds = {}
    for question, point, kind in zip(pairs.questions, pairs.points, pairs.kinds, strict=True):
        kinds.setdefault((question, point), []).append(kind)
    assert all(sorted(found) == sorted(limits.KINDS) for found in kinds.values())
    answers = "\n".join(pairs.answers).lower()
    phrases = [phrase for question in questions for point in question.points for phrase in point.phrases]
    assert [phrase for phrase in phrases if phrase.lower() in answers] == []


def test_the_threshold_is_the_best_on_the_development_answers_which_share_none_with_the_frozen_ones():
    chosen = limits.load_pairs(limits.DEVELOPMENT)
    best = limits.best_threshold(limits.similarities(chosen), chosen.kinds == "covers")
    assert best == pytest.approx(hints.THRESHOLD)
    assert not set(chosen.answers) & set(limits.load_pairs().answers)


def test_fourteen_frozen_points_are_development_points_too_and_the_lesson_says_so():
    chosen, frozen = limits.load_pairs(limits.DEVELOPMENT), limits.load_pairs()
    assert len(limits.points_of(chosen) & limits.points_of(frozen)) == 14


def test_more_sentences_and_siblings_are_found_more_often_than_one_off_topic_answer():
    pairs = limits.load_pairs()
    longer, sentences = limits.lengthened(pairs)
    assert np.all(np.diff(longer) >= 0) and np.all(np.diff(sentences) > 0)
    assert longer[:, 0] == pytest.approx(limits.similarities(pairs)[pairs.kinds == "off-topic"])
    beside, questions = limits.siblings(pairs)
    assert len(beside) == len(questions) > 200
    with pytest.raises(ValueError, match="most: 99 answers are asked for"):
        limits.lengthened(pairs, most=99)


def test_wrong_answers_come_in_two_groups_and_every_kind_has_the_same_points():
    pairs = limits.load_pairs()
    rows = limits.against_strong(pairs, limits.similarities(pairs))
    chosen = limits.groups(pairs)
    assert list(rows) == ["strong", "partial", "wrong: denial", "wrong: other", "off-topic", "terse"]
    assert len(chosen["wrong: denial"]) + len(chosen["wrong: other"]) == len(chosen["strong"])
    assert rows["off-topic"]["on the same point"].estimate > 0.9
    broken = dataclasses.replace(pairs, points=np.roll(pairs.points, 1))
    with pytest.raises(ValueError, match="every kind must have the same points in the same order"):
        limits.groups(broken)


def test_a_pair_whose_point_is_gone_is_named(tmp_path):
    (tmp_path / "pairs.tsv").write_text("question\tpoint\tkind\tanswer\nnone\tgone\tstrong\tYes.\n")
    with pytest.raises(ValueError, match=r"pairs\.tsv, line 2: the bank has no point 'gone' of 'none'"):
        limits.load_pairs(tmp_path / "pairs.tsv")


def test_the_similarity_of_a_pair_is_the_one_that_its_hint_compares(questions):
    pairs = limits.load_pairs()
    found = limits.similarities(pairs)
    for i in range(0, len(pairs), 60):
        reading = hints.read(questions[pairs.questions[i]], pairs.answers[i])
        hint = next(hint for hint in reading.points if hint.id == pairs.points[i])
        assert hint.similarity == pytest.approx(found[i], abs=1e-5)
        assert hint.mentioned == (found[i] >= hints.THRESHOLD)


def test_separation_is_the_area_under_the_roc_curve():
    rng = np.random.default_rng(0)
    first, second, labels = rng.normal(1, 1, 80), rng.normal(0, 1, 80), np.arange(80)
    found = limits.separation(first, second, labels)
    truth = np.repeat([1, 0], 80)
    assert found.estimate == pytest.approx(roc_auc_score(truth, np.concatenate([first, second])))
    assert 0.6 < found.low < found.estimate < found.high < 0.9
    assert limits.separation(second + 9, second, labels).low == 1
    assert limits.separation(first, second, labels, minus=(first, second)).high == 0
    twice = limits.separation(np.tile(first, 2), np.tile(second, 2), np.tile(labels, 2))  # copies are no new data
    assert twice.low == pytest.approx(found.low, abs=0.01)


def test_shared_words_are_counted_without_function_words(questions):
    pairs = limits.load_pairs(limits.DEVELOPMENT)
    found = limits.shared_words(pairs)
    assert 0 <= found.min() < found[pairs.kinds == "covers"].mean() <= found.max() <= 1
    assert limits._words("It is the best of the batch") == {"best", "batch"}


# ---- the report


def test_a_made_up_learner_who_learns_has_a_trend_that_rises(tmp_path, questions):
    trend = demonstration.rehearse(tmp_path, questions, sessions=3, minutes=6).view.report.trend
    assert len(trend) == 3
    assert trend[-1].missing < trend[0].missing
    assert np.mean(trend[-1].grades) > np.mean(trend[0].grades)


def test_the_report_names_misses_time_due_dates_and_trend(tmp_path, questions):
    clock = Clock()
    for grade in ("again", "good"):
        session = Session(tmp_path, questions, clock=clock)
        session.send("start", **choose(minutes=1, session=grade))
        question = question_of(session)
        drive(session, "Bananas are yellow.", until="report", claimed="yes", grade=grade)
        clock.at += timedelta(days=1)
    text = said(session.view)
    assert question.ask in text
    assert all(point.text in text for point in question.points)
    assert all(f"({wrong.claim})" in text for wrong in question.wrong)
    assert "1:00 answering, 0:00 more than it takes to say it" in text
    assert "due in" in text or "due tomorrow" in text
    assert "2026-01-31  mock         1 graded  ..................  about Again" in text
    assert "############......  about Good" in text
    drawn = report.figure(session.view.report)
    assert drawn.get_suptitle() == "Your own grades over 2 sessions: from about Again to about Good"
    assert all(axis.get_xlabel() and axis.get_ylabel() for axis in drawn.axes)


def test_a_session_without_a_grade_says_so_and_has_no_trend_to_draw(tmp_path, questions):
    session = Session(tmp_path, questions, clock=Clock())
    session.send("start", **choose())
    view = session.send("leave")
    assert "Nothing was graded" in said(view)
    with pytest.raises(ValueError, match="no session with a grade yet"):
        report.figure(view.report)


# ---- Anki


def notes_of(path):
    with zipfile.ZipFile(path) as package:
        package.extract("collection.anki2", path.parent)
    with sqlite3.connect(path.parent / "collection.anki2") as base:
        return base.execute("select guid, mid, flds from notes order by id").fetchall()


def test_the_deck_has_a_note_a_question_with_ids_that_stay(tmp_path, questions):
    assert anki.write(questions, tmp_path / "a.apkg") == len(questions)
    first = notes_of(tmp_path / "a.apkg")
    anki.write(questions, tmp_path / "b.apkg")
    second = notes_of(tmp_path / "b.apkg")
    assert len(first) == len(questions)
    assert [note[:2] for note in first] == [note[:2] for note in second]
    assert len({guid for guid, *_ in first}) == len(questions)
    assert "&lt;" not in first[0][2] or "<" in next(iter(questions)).answer
    with pytest.raises(FileExistsError):
        anki.write(questions, tmp_path / "a.apkg")
    with pytest.raises(ValueError, match=r"must end in \.apkg"):
        anki.write(questions, tmp_path / "a.txt")
