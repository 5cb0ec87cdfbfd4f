"""`python -m helpers.tuning`: search the assistant's or the classifier's settings in a terminal."""

import argparse
import sys

import numpy as np

from . import objectives
from .search import gp_search, grid_search, random_search, successive_halving, tpe_search
from .space import grid

METHODS = ("grid", "random", "quasi-random", "tpe", "gp", "halving")
OBJECTIVES = ("pass@5", "accuracy", "classifier")


def main():
    parser = argparse.ArgumentParser("python -m helpers.tuning", description=__doc__.partition(": ")[2])
    parser.add_argument("--method", choices=METHODS, default="tpe")
    parser.add_argument("--trials", type=int, default=100, help="budget; for halving, the settings drawn at the start")
    parser.add_argument("--seconds", type=float, help="stop after so many seconds, whatever comes first")
    parser.add_argument("--objective", choices=OBJECTIVES, default="pass@5", help="halving needs the classifier")
    parser.add_argument("--samples", type=int, help="score sampled answers, each question so often; exact if left out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--file", help="JSON file to save to after each trial, and to resume from")
    chosen = parser.parse_args()
    try:
        trials = search(chosen)
    except ValueError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        again = f"; the same command goes on from {chosen.file}" if chosen.file else ""
        sys.exit(f"stopped{again}")
    report(trials)


def search(chosen):
    """Run what the command line asks for: `Trials`."""
    if chosen.objective == "classifier":
        objective, space = objectives.HeadEvaluator(), objectives.CLASSIFIER
    else:
        k = 5 if chosen.objective == "pass@5" else 1
        objective, space = objectives.LLMEvaluator(k, chosen.samples), objectives.SAMPLING
    budget = {"seconds": chosen.seconds, "seed": chosen.seed, "file": chosen.file}
    if chosen.method == "halving":
        if chosen.objective != "classifier":
            raise ValueError("halving spends epochs, so it needs --objective classifier")
        return successive_halving(objective, space, chosen.trials, least=2, most=18, **budget)
    budget["trials"] = chosen.trials
    if chosen.method == "grid":
        points = max(2, int(chosen.trials ** (1 / len(space)) + 1e-9))
        return grid_search(objective, grid(space, points), **budget)
    if chosen.method in ("random", "quasi-random"):
        return random_search(objective, space, quasi=chosen.method == "quasi-random", **budget)
    return {"tpe": tpe_search, "gp": gp_search}[chosen.method](objective, space, **budget)


def report(trials, shown=5):
    """Print the best trials, and how the best score rose."""
    full = max((t.resource or 0 for t in trials), default=0)  # only what was given the full resource is compared
    scored = [t for t in trials if t.score is not None and (t.resource or 0) == full]
    best = sorted(scored, key=lambda t: -t.score)[:shown]
    names = list(trials[0].settings)
    print("".join(f"{name:>16}" for name in names) + f"{'score':>12}")
    for trial in best:
        print("".join(f"{value:>16.4g}" for value in trial.settings.values()) + f"{trial.score:>12.4f}")
    milestones = [n for n in (5, 10, 20, 50, 100, 200, 500, 1000) if n < len(trials)] + [len(trials)]
    curve = trials.best_so_far
    rises = ", ".join(f"{curve[n - 1]:.4f} after {n}" for n in milestones if not np.isnan(curve[n - 1])) or "none"
    print(f"best of {len(trials)} trials, {len(trials.errors)} failed; best so far: {rises}")
    print("The best of many noisy scores flatters itself: score the winner again, on questions it was not chosen on.")


if __name__ == "__main__":
    main()
