"""What was tried. `Trials` is what every search returns; `Run` fills it, trial by trial.

A run writes its JSON file after each trial: the settings and scores so far, and the state of
the random generator that draws the next ones. So a search that was stopped, even in the middle
of a trial, goes on exactly as it would have.
"""

import inspect
import json
import math
import os
import time
from collections.abc import Sized
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from .space import check_space


@dataclass(frozen=True)
class Trial:
    """One evaluation. `score` is higher for better, and None if the trial failed: `error` says why."""

    settings: dict
    score: float | None
    seconds: float  # to propose the settings and to score them
    error: str = ""
    resource: float | None = None  # what successive halving spent on it, such as epochs


class Trials:
    """All trials of one search, in order. `len`, indexing and iteration give each `Trial`."""

    def __init__(self, method, space, seed, trials=(), generator_state=None, objective="", arguments=None):
        self.method, self.space, self.seed = method, {name: repr(d) for name, d in space.items()}, seed
        self.objective, self.arguments = objective, dict(arguments or {})  # of the method, such as TPE's warm-up
        self.trials, self.generator_state = list(trials), generator_state

    def __len__(self):
        return len(self.trials)

    def __getitem__(self, index):
        return self.trials[index]

    def __repr__(self):
        failed = sum(trial.score is None for trial in self)
        best = f"best {self.best.score:.4f}" if failed < len(self) else "no score"
        return f"Trials({self.method}, {len(self)} trials, {failed} failed, {best})"

    @property
    def settings(self):
        return [trial.settings for trial in self]

    @property
    def scores(self):
        """Float array (trials,), NaN where a trial failed."""
        return np.array([np.nan if trial.score is None else trial.score for trial in self], dtype=float)

    @property
    def seconds(self):
        return np.array([trial.seconds for trial in self])

    @property
    def errors(self):
        """{number of the trial: its error}, counted from 0."""
        return {number: trial.error for number, trial in enumerate(self) if trial.error}

    @property
    def cost(self):
        """Cumulative cost in full evaluations: float array (trials,). A trial with a third of the epochs is a third."""
        full = max((trial.resource or 1 for trial in self), default=1)
        return np.cumsum([1 if trial.resource is None else trial.resource / full for trial in self])

    @property
    def best_so_far(self):
        """Best score after each trial: float array (trials,); NaN until one has succeeded."""
        return np.fmax.accumulate(np.where(self._full, self.scores, np.nan))

    @property
    def best(self):
        """The `Trial` with the highest score, the first of equals. Raises ValueError if all failed."""
        scores = np.where(self._full, self.scores, np.nan)
        if len(scores) == 0 or np.isnan(scores).all():
            error = next(iter(self.errors.values()), "there was none")
            raise ValueError(f"none of {len(self)} trials has a score to compare; the first failed with: {error}")
        return self[int(np.nanargmax(scores))]

    @property
    def _full(self):
        "Scores are compared only among trials that were given the full resource."
        resources = np.array([trial.resource or 1 for trial in self])
        return resources == resources.max(initial=0)

    def frame(self):
        """A pandas table: a row a trial, with its settings, score, seconds and error."""
        import pandas as pd

        return pd.DataFrame([{**t.settings, "score": t.score, "seconds": t.seconds, "error": t.error} for t in self])

    def save(self, file):
        """Write everything as JSON; whoever reads meanwhile sees the old file or the new one."""
        file = Path(file)
        content = {
            "method": self.method, "arguments": self.arguments, "seed": self.seed, "space": self.space,
            "objective": self.objective,
            "generator_state": self.generator_state, "trials": [asdict(trial) for trial in self],
        }  # fmt: skip
        unfinished = file.with_suffix(f".{os.getpid()}.partial")
        unfinished.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
        os.replace(unfinished, file)

    @classmethod
    def load(cls, file):
        """What `save` wrote. Raises ValueError if the file is no such thing."""
        try:
            content = json.loads(Path(file).read_text("utf-8"))
            loaded = cls(content["method"], {}, content["seed"], (), None, content["objective"], content["arguments"])
            loaded.space, loaded.generator_state = content["space"], content["generator_state"]
            loaded.trials = [Trial(**trial) for trial in content["trials"]]
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"{file} holds no trials of a search ({error!r}): delete it, or name another") from None
        return loaded


class Run:
    """A search while it runs: keeps count of the budget, scores settings, records, saves.

    objective: a function of the space's names as keywords that returns a score, higher for better.
        If it has an argument `seed`, each trial gets its own; if it has `resource`, what to spend.
    trials, seconds: the budget; one is enough. file: JSON file to resume from and to save to.
    arguments: {name: value} of what else decides which settings the method proposes; JSON must be able to keep it.
    Raises ValueError for a wrong space or budget, or a file of another search.
    """

    def __init__(self, method, objective, space, trials, seconds, seed, file, progress, **arguments):
        check_space(space)
        _check_budget(trials, seconds)
        self.accepts = _check_objective(objective, space)
        self.objective, self.limit, self.seconds, self.file = objective, trials, seconds, file
        self.generator = np.random.default_rng(seed)
        self.trials = Trials(method, space, seed, objective=describe(objective), arguments=arguments)
        if file is not None and Path(file).exists():
            self._resume(file)
        self.bar = tqdm(
            total=trials, initial=len(self.trials), desc=method, unit="trial", leave=False, disable=not progress
        )
        self._last = time.perf_counter()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.bar.close()

    def _resume(self, file):
        stored, wanted = Trials.load(file), self.trials
        for name in ("method", "arguments", "objective", "seed", "space"):
            found, needed = getattr(stored, name), getattr(wanted, name)
            if found != needed:
                raise ValueError(f"{file} is of another search: its {name} is {found!r}, here {needed!r}")
        self.trials = stored
        if stored.generator_state is not None:
            self.generator.bit_generator.state = stored.generator_state

    @property
    def done(self):
        """Is the budget spent?"""
        if self.limit is not None and len(self.trials) >= self.limit:
            return True
        return self.seconds is not None and self.trials.seconds.sum() >= self.seconds

    def evaluate(self, settings, resource=None):
        """Score settings and record the `Trial`. A trial that fails is recorded with its error."""
        settings = {name: settings[name] for name in self.trials.space}  # in the space's order, whoever proposed them
        extra = {"seed": trial_seed(self.trials.seed, len(self.trials)), "resource": resource}
        extra = {name: value for name, value in extra.items() if name in self.accepts and value is not None}
        score, error = None, ""
        try:
            score = float(self.objective(**settings, **extra))
            if not math.isfinite(score):
                score, error = None, f"ValueError: the objective returned {score}, which cannot be compared"
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"
        now = time.perf_counter()
        trial = Trial(settings, score, now - self._last, error, resource)
        self._last = now
        self.trials.trials.append(trial)
        self.trials.generator_state = self.generator.bit_generator.state
        if self.file is not None:
            self.trials.save(self.file)
        self.bar.update()
        return trial


def describe(objective):
    """What tells one objective from another, as text: its name, its plain attributes, the length of the others."""
    if isinstance(objective, partial):
        return f"{describe(objective.func)} with {objective.args} {objective.keywords}"
    if hasattr(objective, "__qualname__"):
        return f"{objective.__module__}.{objective.__qualname__}"
    kept = {}
    for name, value in vars(objective).items():
        if value is None or isinstance(value, bool | int | float | str | slice):
            kept[name] = value
        elif isinstance(value, Sized) and not name.startswith("_"):
            kept[f"len({name})"] = len(value)
    return f"{type(objective).__name__}({', '.join(f'{name}={value!r}' for name, value in kept.items())})"


def trial_seed(seed, number):
    """The seed that trial `number` of a search gets: differs between trials, the same in every run."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _check_budget(trials, seconds):
    if trials is None and seconds is None:
        raise ValueError("a search needs a budget: trials, seconds, or both")
    if trials is not None and (isinstance(trials, bool) or not isinstance(trials, int) or trials < 1):
        raise ValueError(f"trials must be a whole number of at least 1, got {trials!r}")
    if seconds is not None and not seconds > 0:
        raise ValueError(f"seconds must be above 0, got {seconds!r}")


def _check_objective(objective, space):
    "Does it take the space's names? Returns which of seed and resource it takes beside them."
    parameters = inspect.signature(objective).parameters
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    unknown = [name for name in space if name not in parameters]
    missing = [
        name
        for name, p in parameters.items()
        if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        and name not in space and name not in ("seed", "resource")
    ]  # fmt: skip
    if (unknown and not anything) or missing:
        raise ValueError(f"space has {', '.join(space)}, but the objective takes {', '.join(parameters)}")
    return [name for name in ("seed", "resource") if name in parameters]
