"""The rehearsal in a terminal, as a learner meets it: a pseudo-terminal with keys, a pipe, and the options."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile

import pytest

from helpers import __main__ as commands
from helpers.course.rehearsal import bank, core
from helpers.course.rehearsal.log import Log

pexpect = pytest.importorskip("pexpect", reason="a scripted terminal needs pexpect")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are not there on Windows")
COMMAND = ["-m", "helpers", "rehearse"]


@pytest.fixture
def spawn(tmp_path):
    children = []

    def start(*options):
        environment = {**os.environ, "REHEARSAL_HOME": str(tmp_path), "TERM": "dumb"}
        child = pexpect.spawn(sys.executable, [*COMMAND, *options], env=environment, encoding="utf-8", timeout=60,
                              dimensions=(60, 100))  # fmt: skip
        children.append(child)
        return child

    yield start
    for child in children:
        child.close(force=True)


def events(folder, kind):
    return [event for event in Log(folder).read()[0] if event["event"] == kind]


def test_a_whole_interview_by_keyboard(spawn, tmp_path):
    child = spawn()
    for field in ("Mode", "Topic", "Level", "Minutes", "Watch the time"):
        child.expect(field)
        child.expect(r"\] ")
        child.sendline("1" if field == "Minutes" else "")
    child.expect("Question 1 of 1")
    child.expect("Your answer:")
    child.expect("> ")
    child.sendline(".")
    child.expect("nothing is typed yet")
    child.expect("> ")
    child.sendline("I would measure first.")
    child.expect("> ")
    child.sendline("Ünd then, decide “well”.")
    child.expect("> ")
    child.sendeof()
    child.expect("What the hints found")
    child.expect("cannot tell right from wrong")
    child.expect("Continue")
    child.sendline("")
    replies = 0
    while True:
        met = child.expect(["Did you claim this.*number 1 to 2 ", "Your reply:.*> ", "number 1 to 4 "])
        if met == 0:
            child.sendline("2")
        elif met == 1:
            replies += 1
            child.sendline("No more to say.")
            child.expect("> ")
            child.sendline(".")
        else:
            break
    assert replies == 2
    child.sendline("9")
    child.expect("'9' is none of them: type a number from 1 to 4")
    child.sendline("3")
    child.expect("Due again:")
    child.expect("in 2 days")
    child.sendline("")
    child.expect("Report of this session")
    child.expect("Trend of your grades")
    child.expect(r"\[2\] ")
    child.sendline("")
    child.expect("Until next time")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    (answered,), (graded,) = events(tmp_path, "answered"), events(tmp_path, "graded")
    assert answered["text"] == "I would measure first.\nÜnd then, decide “well”."
    assert graded["grade"] == "good"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_whoever_leaves_in_the_middle_of_a_line_finds_it_again(spawn, tmp_path, number):
    child = spawn("--mode", "drill", "--minutes", "1", "--untimed")
    child.expect("Your answer:")
    child.expect("> ")
    child.sendline("A whole line.")
    child.expect("> ")
    child.send("half of on")
    child.expect("half of on")
    time.sleep(0.2)
    child.kill(number)
    child.expect(pexpect.EOF)
    assert events(tmp_path, "draft")[-1]["text"] == "A whole line.\nhalf of on"
    assert events(tmp_path, "ended")
    if number == signal.SIGINT:
        again = spawn("--mode", "drill", "--minutes", "1", "--untimed")
        again.expect("as far as it was typed")
        again.expect("half of on")


def test_a_killed_session_loses_no_line_that_was_entered_however_long(spawn, tmp_path):
    child = spawn("--mode", "mock", "--minutes", "1")
    child.expect("> ")
    for _ in range(10):  # more than the 4,095 bytes that a terminal hands over by itself
        child.send("word " * 100)
    child.sendline("end")
    child.expect("\n> ")
    child.kill(signal.SIGKILL)
    child.expect(pexpect.EOF)
    assert events(tmp_path, "draft")[-1]["text"] == "word " * 1000 + "end"


def run(tmp_path, *options, typed=""):
    environment = {**os.environ, "REHEARSAL_HOME": str(tmp_path), "PYTHONIOENCODING": "utf-8"}
    return subprocess.run([sys.executable, *COMMAND, *options], env=environment, input=typed, capture_output=True,
                          text=True, encoding="utf-8", timeout=60)  # fmt: skip


def test_without_a_terminal_it_reads_a_pipe_and_leaves_at_its_end(tmp_path):
    done = run(tmp_path, "--mode", "flashcards", "--minutes", "2", typed="\n3\n\n")
    assert done.returncode == 0, done.stderr
    assert "You graded this Good" in done.stdout
    assert done.stdout.rstrip().endswith("Saved.")
    assert len(events(tmp_path, "graded")) == 1


def command(monkeypatch, tmp_path, *options):
    monkeypatch.setenv("REHEARSAL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "argv", ["helpers", "rehearse", *options])
    commands.main()


EVENT = {"event": "started", "at": "2026-01-31T12:00:00+00:00", "session": "s", "mode": "mock", "timed": True,
         "questions": []}  # fmt: skip


def test_export_and_delete(monkeypatch, tmp_path, capsys):
    Log(tmp_path / "home").append(EVENT)
    command(monkeypatch, tmp_path, "--export", str(tmp_path / "mine.json"))
    assert "1 events written" in capsys.readouterr().out
    assert json.loads((tmp_path / "mine.json").read_text("utf-8"))["events"][0]["session"] == "s"
    with pytest.raises(SystemExit, match="exists already: name a new file"):
        command(monkeypatch, tmp_path, "--export", str(tmp_path / "mine.json"))
    with pytest.raises(SystemExit, match="No such file or directory"):
        command(monkeypatch, tmp_path, "--export", str(tmp_path / "nowhere" / "mine.json"))
    monkeypatch.setattr("builtins.input", lambda _: "no")
    command(monkeypatch, tmp_path, "--delete")
    assert "Nothing was deleted" in capsys.readouterr().out
    assert Log(tmp_path / "home").path.exists()
    command(monkeypatch, tmp_path, "--delete", "--yes")
    assert "Your progress is deleted" in capsys.readouterr().out
    assert not Log(tmp_path / "home").path.exists()
    command(monkeypatch, tmp_path, "--delete", "--yes")
    assert "no progress to delete" in capsys.readouterr().out


def test_a_folder_that_cannot_hold_progress_is_named_with_the_mend(monkeypatch, tmp_path):
    (tmp_path / "home").write_text("a file where a folder should be")
    with pytest.raises(SystemExit, match="error: cannot read your progress in .*home.*REHEARSAL_HOME"):
        command(monkeypatch, tmp_path, "--export", str(tmp_path / "mine.json"))


def test_the_deck_for_anki(monkeypatch, tmp_path, capsys):
    command(monkeypatch, tmp_path, "--anki", str(tmp_path / "deck.apkg"))
    assert f"{len(bank.load())} notes written" in capsys.readouterr().out
    assert zipfile.is_zipfile(tmp_path / "deck.apkg")


def test_options_name_what_is_wrong(monkeypatch, tmp_path, capsys):
    with pytest.raises(SystemExit, match="error: --topic: 'cooking' must begin one of: "):
        command(monkeypatch, tmp_path, "--topic", "cooking")
    with pytest.raises(SystemExit):
        command(monkeypatch, tmp_path, "--mode", "exam")
    said = capsys.readouterr().err
    assert all(mode in said for mode in core.MODES)
