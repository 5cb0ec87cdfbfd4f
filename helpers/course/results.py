"""Recorded results of what takes too long to run in a lesson.

An experiment is a function that returns a dict, with its settings as keyword arguments:

    @recorded("01_tuning", depends_on=[evaluation, training.fit])
    def winners_curse(*, trials=100, seeds=(0, 1, 2)):
        ...
        return {"best": 0.84, "fresh": 0.75}

`make results` runs it and writes `results/01_tuning.json`; the notebook calls
`load("01_tuning", "winners_curse").values`, runs a slice of it live (`winners_curse(trials=10)`),
and asserts that the two agree. When code that made a result changes, the result is stale, and a
test says so. Comments, docstrings and layout are not code.
"""

import argparse
import ast
import hashlib
import importlib
import importlib.metadata
import inspect
import json
import math
import os
import platform
import sys
import textwrap
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from tqdm import tqdm

RESULTS = Path(__file__).resolve().parents[2] / "results"
# the lessons' modules that record results
EXPERIMENT_MODULES = (
    "helpers.augmentation.recorded",
    "helpers.before_after.recorded",
    "helpers.cross_validation",
    "helpers.monitoring.alarms",
    "helpers.monitoring.day",
    "helpers.monitoring.drift",
    "helpers.parametrization.recorded",
    "helpers.regularization",
    "helpers.scaling.batching",
    "helpers.scaling.caching",
    "helpers.scaling.distributed.recorded",
    "helpers.scaling.vector_search.recorded",
    "helpers.tuning.recorded",
)
PACKAGES = ("faiss-cpu", "hyperopt", "numpy", "pandas", "scikit-learn", "scipy", "sentence-transformers", "torch")


@dataclass(frozen=True)
class Result:
    """What was recorded: `values`, and what made them."""

    settings: dict
    seeds: list
    versions: dict
    code_hash: str
    date: str  # ISO, UTC
    values: dict


@dataclass(frozen=True)
class Experiment:
    """A registered function, and the modules, classes and functions that its result depends on."""

    lesson: str
    function: Callable
    depends_on: tuple

    @property
    def name(self):
        return self.function.__name__

    @property
    def code(self):
        """All whose change makes the result stale."""
        return (self.function, *self.depends_on)

    @property
    def settings(self):
        """The defaults of the function's keyword arguments."""
        return {name: p.default for name, p in inspect.signature(self.function).parameters.items()}


DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_registered = {}  # (lesson, name) -> Experiment


def recorded(lesson, depends_on=()):
    """Register a function as an experiment of `lesson`; the function itself stays as it is.

    depends_on: the modules, classes and functions whose change makes the result stale. Those that
        they call in turn are not followed.
    Raises TypeError if the function has an argument that is not keyword-only with a default.
    """

    def register(function):
        for name, parameter in inspect.signature(function).parameters.items():
            if parameter.kind is not parameter.KEYWORD_ONLY or parameter.default is parameter.empty:
                raise TypeError(f"{function.__name__}({name}): a setting must be keyword-only and have a default")
        _registered[lesson, function.__name__] = Experiment(lesson, function, tuple(depends_on))
        return function

    return register


def load(lesson, name, folder=None):
    """The `Result` of one experiment.

    Raises FileNotFoundError if the lesson has no recorded results, LookupError if not this one.
    """
    path = _path(lesson, folder)
    if not path.is_file():
        raise FileNotFoundError(f"no results of {lesson!r} are recorded in {path}: run `make results`")
    entries = _read(path)
    if name not in entries:
        known = ", ".join(entries) or "none"
        raise LookupError(f"no result {name!r} of {lesson!r} (recorded: {known}): run `make results`")
    return Result(**entries[name])


def record(lesson, name, settings, compute, code, folder=None):
    """Run `compute(**settings)` and write what it returns into `results/<lesson>.json`, with what made it.

    settings: dict; its `seeds` (or `seed`) are kept apart. code: modules, classes and functions that made the result.
    Returns the `Result`. Raises TypeError or ValueError, naming the place, for what JSON cannot keep.
    """
    others = {key: value for key, value in settings.items() if key not in ("seed", "seeds")}
    seeds = [settings["seed"]] if "seed" in settings else list(settings.get("seeds", ()))
    _must_be_json({**others, "seeds": seeds}, f"settings of {lesson}/{name}")
    hashed = code_hash(*code)  # before it runs: who edits the file meanwhile has changed the code
    values = compute(**settings)
    if not isinstance(values, dict):
        raise TypeError(f"{lesson}/{name} must return a dict, got {type(values).__name__}")
    _must_be_json(values, f"values of {lesson}/{name}")
    today = datetime.now(UTC).date().isoformat()
    path = _path(lesson, folder)
    entries = _read(path)
    entries[name] = asdict(Result(others, seeds, _versions(), hashed, today, values))
    _write(path, entries)
    return load(lesson, name, folder)


def stale(folder=None):
    """What is not up to date: a list of (lesson, name, reason)."""
    experiments, found = registered(), []
    for (lesson, name), experiment in experiments.items():
        entry = _read(_path(lesson, folder)).get(name)
        if entry is None:
            found.append((lesson, name, "never recorded"))
        elif entry["code_hash"] != code_hash(*experiment.code):
            found.append((lesson, name, "its code has changed since it was recorded"))
    for path in sorted(Path(folder or RESULTS).glob("*.json")):
        orphans = [name for name in _read(path) if (path.stem, name) not in experiments]
        found += [(path.stem, name, f"no such experiment any more: delete it from {path.name}") for name in orphans]
    return found


def registered():
    """All experiments, as {(lesson, name): Experiment}, after importing the modules that define them."""
    for module in EXPERIMENT_MODULES:
        importlib.import_module(module)
    return dict(_registered)


def code_hash(*parts):
    """SHA-256 (hex) of the source of modules, classes and functions, without comments, docstrings and layout."""
    trees = [_essence(ast.parse(textwrap.dedent(inspect.getsource(part)))) for part in parts]
    return hashlib.sha256(repr(trees).encode()).hexdigest()


def _essence(node):
    "A syntax tree as nested lists. Empty fields are left out: which there are differs between versions of Python."
    if isinstance(node, list):
        return [_essence(item) for item in node]
    if not isinstance(node, ast.AST):
        return node
    fields = {name: value for name, value in ast.iter_fields(node) if value not in (None, [])}
    if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
        fields["body"] = node.body[1:]
    return [type(node).__name__, *([name, _essence(value)] for name, value in fields.items())]


def _versions():
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _must_be_json(value, place):
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{place}: the key {key!r} is no string, and JSON has no other keys")
            _must_be_json(item, f"{place}[{key!r}]")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _must_be_json(item, f"{place}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{place} is {value}, which is no result")
    elif not (value is None or isinstance(value, bool | int | float | str)):
        raise TypeError(f"{place} is of type {type(value).__name__}: use float(), int(), str() or .tolist()")


def _path(lesson, folder):
    return Path(folder or RESULTS) / f"{lesson}.json"


def _read(path):
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def _write(path, entries):
    "Whoever reads meanwhile sees the old file or the new one, never half of it."
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps(entries, indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")
    os.replace(partial, path)


def main(arguments=None, folder=None):
    """Run what is stale or was never recorded, or only list it. Returns the exit status."""
    parser = argparse.ArgumentParser("python -m helpers.course.results", description=__doc__.partition("\n")[0])
    parser.add_argument("lesson", nargs="?", help="this lesson alone, such as 01_tuning")
    parser.add_argument("--only", metavar="NAME", help="this experiment alone, even if it is up to date")
    parser.add_argument(
        "--stale", action="store_true", help="run nothing, list what is not up to date, fail if anything is"
    )
    chosen = parser.parse_args(arguments)
    experiments = registered()
    for value, position in ((chosen.lesson, 0), (chosen.only, 1)):
        known = sorted({key[position] for key in experiments})
        if value and value not in known:
            parser.error(f"unknown: {value!r}; there is {', '.join(known) or 'no experiment yet'}")

    def is_chosen(lesson, name):
        return chosen.lesson in (None, lesson) and chosen.only in (None, name)

    reasons = {(lesson, name): reason for lesson, name, reason in stale(folder) if is_chosen(lesson, name)}
    if chosen.stale:
        print(
            "\n".join(f"{lesson} {name}: {reason}" for (lesson, name), reason in reasons.items()) or "All up to date."
        )
        return int(bool(reasons))
    todo = [e for key, e in experiments.items() if is_chosen(*key) and (key in reasons or chosen.only)]
    if not todo:
        print("All up to date.")
        return 0
    for experiment in (bar := tqdm(todo, unit="experiment")):
        bar.set_description(f"{experiment.lesson} {experiment.name}")
        record(experiment.lesson, experiment.name, experiment.settings, experiment.function, experiment.code, folder)
    return 0


if __name__ == "__main__":
    # The lessons register with the module they import, which is not the one being run here.
    from helpers.course import results

    sys.exit(results.main())
