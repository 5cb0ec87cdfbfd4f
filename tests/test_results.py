import json
import linecache

import pytest

from helpers.course import results

BEFORE = """
def helper(x):
    return 2 * x

def doubled(*, x=3, seeds=(0, 1)):
    return {"mean": float(helper(x)), "each": [helper(s) for s in seeds]}
"""
SAME = '''
def helper(x):
    """Twice x."""
    return (2 *
            x)  # cheap

def doubled(*, x=3, seeds=(0, 1)):
    "A docstring."

    # a comment
    return {'mean': float(helper(x)), "each": [helper(s) for s in seeds]}
'''


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """experiment(source) registers `doubled` of a module with this source, in place of all other experiments."""
    monkeypatch.setattr(results, "_registered", {})
    monkeypatch.setattr(results, "EXPERIMENT_MODULES", ())
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")

    def register(source, depends_on=("helper",)):
        path = tmp_path / "lesson.py"
        path.write_text(source, "utf-8")
        linecache.clearcache()
        namespace = {"__name__": "lesson"}
        exec(compile(source, str(path), "exec"), namespace)
        results.recorded("01_tuning", depends_on=[namespace[name] for name in depends_on])(namespace["doubled"])

    register(BEFORE)
    return register


def test_what_is_recorded_can_be_loaded(experiment):
    assert results.main([]) == 0
    result = results.load("01_tuning", "doubled")
    assert result.values == {"mean": 6.0, "each": [0, 2]}
    assert (result.settings, result.seeds) == ({"x": 3}, [0, 1])
    assert result.versions["torch"] and len(result.code_hash) == 64 and result.date[:2] == "20"


def test_the_file_is_sorted_complete_and_alone(experiment):
    results.main([])
    results.record("01_tuning", "a", {"x": 0.1}, lambda x: {"third": 1 / 3}, [results.load])
    (path,) = results.RESULTS.iterdir()
    text = path.read_text("utf-8")
    assert path.name == "01_tuning.json" and list(json.loads(text)) == ["a", "doubled"]
    assert "0.3333333333333333" in text and text.endswith("}\n") and len(text.splitlines()) > 20


def test_comments_docstrings_and_layout_are_not_code(experiment):
    results.main([])
    experiment(SAME)
    assert results.stale() == []


@pytest.mark.parametrize(
    "change",
    [("2 * x", "3 * x"), ("x=3", "x=4"), ("seeds=(0, 1)", "seeds=(0, 1, 2)"), ("float(", "abs("), ("2 *", "2.0 *")],
)
def test_a_change_of_code_setting_or_dependency_makes_a_result_stale(experiment, change):
    results.main([])
    experiment(BEFORE.replace(*change))
    assert results.stale() == [("01_tuning", "doubled", "its code has changed since it was recorded")]
    assert results.main(["--stale"]) == 1
    results.main([])
    assert results.stale() == [] and results.main(["--stale"]) == 0


def test_what_was_never_recorded_or_no_longer_exists_is_listed(experiment):
    assert results.stale() == [("01_tuning", "doubled", "never recorded")]
    results.record("01_tuning", "gone", {}, dict, [results.load])
    assert [name for _, name, _ in results.stale()] == ["doubled", "gone"]


def test_only_what_is_not_up_to_date_runs_again_unless_it_is_named(experiment, monkeypatch):
    results.main([])
    ran = []
    monkeypatch.setattr(results, "record", lambda lesson, name, *_: ran.append(name))
    results.main([])
    results.main(["01_tuning"])
    assert ran == []
    results.main(["--only", "doubled"])
    assert ran == ["doubled"]


def test_an_interrupted_write_leaves_the_old_results(experiment, monkeypatch):
    results.main([])
    before = results.load("01_tuning", "doubled")
    experiment(BEFORE.replace("x=3", "x=4"))
    monkeypatch.setattr(results.os, "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        results.main([])
    assert results.load("01_tuning", "doubled") == before


def test_a_module_can_be_a_dependency():
    assert results.code_hash(results) == results.code_hash(results) != results.code_hash(json)


@pytest.mark.parametrize(
    ("values", "error", "place"),
    [
        ({"a": [1, float("nan")]}, ValueError, r"values of 01_tuning/bad\['a'\]\[1\] is nan"),
        ({"a": {"b": float("inf")}}, ValueError, r"\['a'\]\['b'\] is inf"),
        ({"a": {1, 2}}, TypeError, "of type set"),
        ({1: 2}, TypeError, "the key 1 is no string"),
        ([1], TypeError, "must return a dict, got list"),
    ],
)
def test_what_json_cannot_keep_is_refused_with_its_place(experiment, values, error, place):
    with pytest.raises(error, match=place):
        results.record("01_tuning", "bad", {}, lambda: values, [results.load])
    assert not results.RESULTS.exists()


def test_numpy_values_are_refused_with_the_mend(experiment):
    numpy = pytest.importorskip("numpy")
    with pytest.raises(TypeError, match=r"float32: use float\(\)"):
        results.record("01_tuning", "bad", {}, lambda: {"a": numpy.float32(1)}, [results.load])


def test_what_is_not_there_is_named(experiment):
    with pytest.raises(FileNotFoundError, match="make results"):
        results.load("01_tuning", "doubled")
    results.main([])
    with pytest.raises(LookupError, match=r"no result 'halved' of '01_tuning' \(recorded: doubled\)"):
        results.load("01_tuning", "halved")


@pytest.mark.parametrize("arguments", [["02_other"], ["--only", "halved"]])
def test_an_unknown_lesson_or_experiment_is_refused(experiment, arguments, capsys):
    with pytest.raises(SystemExit):
        results.main(arguments)
    assert f"unknown: {arguments[-1]!r}; there is" in capsys.readouterr().err


def test_settings_must_be_keywords_with_defaults():
    for function in (lambda x=1: {}, lambda *, x: {}):
        with pytest.raises(TypeError, match="keyword-only"):
            results.recorded("01_tuning")(function)


def test_every_recorded_result_of_the_course_is_up_to_date():
    assert results.stale() == [], "run `make results`"
