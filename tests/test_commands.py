"""`python -m helpers` and the doctor, as a learner meets them."""

import json
import sys

import pytest

from helpers import __main__ as commands
from helpers.course import doctor

RIDGE = "What is the default of tol in sklearn.linear_model.Ridge?"


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["helpers", *arguments])
    commands.main()


def test_ask_answers_with_its_source(monkeypatch, capsys):
    run(monkeypatch, "ask", RIDGE)
    assert capsys.readouterr().out == "0.0001\n  source: sklearn.linear_model.Ridge (signature lookup)\n"


def test_ask_prints_json(monkeypatch, capsys):
    run(monkeypatch, "ask", RIDGE, "--json")
    printed = json.loads(capsys.readouterr().out)
    assert printed["answer"] == "0.0001"
    assert [source["name"] for source in printed["sources"]] == ["sklearn.linear_model.Ridge"]
    assert printed["seconds"].keys() == {"lookup"}


def test_an_empty_question_ends_with_a_message_and_no_traceback(monkeypatch):
    with pytest.raises(SystemExit, match="error: question must be a text that asks something, got ' '"):
        run(monkeypatch, "ask", " ")


def test_an_unknown_command_is_refused(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, "aks", RIDGE)
    assert "invalid choice: 'aks'" in capsys.readouterr().err


def test_the_doctor_fails_with_the_mend_and_tolerates_what_is_optional(monkeypatch, capsys):
    checks = (
        ("one", lambda: "fine", False),
        ("two", lambda: doctor._program("no-such-program", "its-package"), True),
    )
    monkeypatch.setattr(doctor, "CHECKS", checks)
    assert doctor.report()
    printed = capsys.readouterr().out
    assert "[ OK ] one: fine" in printed
    assert "[ -- ] two: not installed" in printed
    assert "apt-get install its-package" in printed
    monkeypatch.setattr(doctor, "CHECKS", (*checks, (*checks[1][:2], False)))
    assert not doctor.report()
    assert "[FAIL] two" in capsys.readouterr().out


def test_the_doctor_names_packages_that_differ_from_the_lock(monkeypatch, tmp_path):
    (tmp_path / "requirements.txt").write_text('numpy==0.1\nno-such-package==2.0; sys_platform != "win32"\n')
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    with pytest.raises(RuntimeError, match=r"numpy 0\.1 \(here: [\d.]+\), no-such-package 2\.0 \(here: missing\)"):
        doctor._packages()


def test_the_doctor_finds_the_real_parts(monkeypatch):
    assert "6," in doctor._corpus()
    assert "384 dimensions" in doctor._encoder()
    assert "8,192 tokens" in doctor._language_model()
    assert "GB free" in doctor._cache()


def test_the_doctor_names_a_cache_that_cannot_be_made(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HELPERS_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(doctor, "CHECKS", (("cache folder", doctor._cache, False),))
    assert not doctor.report()
