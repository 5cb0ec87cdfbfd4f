"""Five searches with one interface. All maximise `objective(**settings)` and return `Trials`.

objective, space: see `trials.Run` and `space`. trials, seconds: the budget. seed: of the draws.
file: a JSON file; if it holds a part of this very search, the search goes on from there.
"""

import itertools
import warnings
from functools import partial

import numpy as np
from scipy import stats

from .space import Choice, sample
from .trials import Run


def random_search(objective, space, trials=None, seconds=None, seed=0, file=None, progress=True, quasi=False):
    """Draw every trial independently.

    quasi: take the points of a scrambled Sobol' sequence instead, which fill the space evenly.
    Source: Bergstra & Bengio 2012; for quasi-random search Godbole et al. 2023.
    """

    def propose(history, generator):
        if not quasi:
            return sample(space, generator)
        points = stats.qmc.Sobol(len(space), rng=np.random.default_rng(seed))
        if history:
            points.fast_forward(len(history))
        return {name: dimension.at(u) for (name, dimension), u in zip(space.items(), points.random()[0])}

    method = "quasi-random" if quasi else "random"
    return _search(method, objective, space, propose, trials, seconds, seed, file, progress)


def grid_search(objective, values, trials=None, seconds=None, seed=0, file=None, progress=True, shuffled=False):
    """Try every combination of `values`, {name: list}, such as `grid(space, points=5)`.

    trials: None for all of them. shuffled: in an order drawn with `seed`; otherwise the last
    name varies fastest, and a search that is cut short has seen one corner of the grid only.
    """
    if not values or any(len(options) == 0 for options in values.values()):
        raise ValueError(f"values must be a dict of lists that are not empty, got {values!r}")
    combinations = [dict(zip(values, combination)) for combination in itertools.product(*values.values())]
    if shuffled:
        combinations = [combinations[i] for i in np.random.default_rng(seed).permutation(len(combinations))]

    def propose(history, generator):
        return combinations[len(history)] if len(history) < len(combinations) else None

    space = {name: Choice(tuple(options)) for name, options in values.items()}
    if trials is None and seconds is None:
        trials = len(combinations)
    return _search("grid", objective, space, propose, trials, seconds, seed, file, progress, shuffled=shuffled)


def tpe_search(objective, space, trials=None, seconds=None, seed=0, file=None, progress=True, startup=20):
    """hyperopt's tree-structured Parzen estimator.

    The first `startup` trials are random. Then the trials so far are split into a few good ones
    and the rest, a density is fitted to each, dimension by dimension, and the next trial is where
    the good ones are dense and the others are not.
    Source: Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization.
    """
    from hyperopt import STATUS_FAIL, STATUS_OK, fmin, tpe

    with Run("tpe", objective, space, trials, seconds, seed, file, progress, startup=startup) as run:
        labelled = {name: dimension.hyperopt(name) for name, dimension in space.items()}

        def loss(point):
            trial = run.evaluate({name: _plain(value) for name, value in point.items()})
            return {"status": STATUS_FAIL} if trial.score is None else {"status": STATUS_OK, "loss": -trial.score}

        if not run.done:
            earlier = _hyperopt_trials(run.trials, space)
            fmin(
                loss, labelled, algo=partial(tpe.suggest, n_startup_jobs=startup, verbose=False),
                max_evals=run.limit, trials=earlier, rstate=run.generator, show_progressbar=False, verbose=False,
                early_stop_fn=lambda *_: (run.done, []), return_argmin=False,
            )  # fmt: skip
    return run.trials


def gp_search(objective, space, trials=None, seconds=None, seed=0, file=None, progress=True, startup=10):
    """Gaussian process and expected improvement.

    The first `startup` trials are random. Then a Gaussian process is fitted to the scores, which
    says for any settings what score to expect and how unsure it is; of 1,000 random settings the
    one with the highest expected improvement over the best expected score so far is next.
    Source: Jones, Schonlau & Welch 1998, Efficient Global Optimization; Snoek et al. 2012.
    """

    def propose(history, generator):
        known = [trial for trial in history if trial.score is not None]
        if len(known) < startup:
            return sample(space, generator)
        tried, scores = np.array([_position(space, trial.settings) for trial in known]), [t.score for t in known]
        model = fit_gaussian_process(tried, scores)
        candidates = [sample(space, generator) for _ in range(1000)]
        mean, deviation = model.predict(np.array([_position(space, c) for c in candidates]), return_std=True)
        # Both without the noise of one evaluation: the highest score may be luck, and luck is no improvement.
        best, noise = model.predict(tried).max(), model.kernel_.k2.noise_level * np.var(scores)
        deviation = np.sqrt(np.maximum(deviation**2 - noise, 0))
        return candidates[int(expected_improvement(mean, deviation, best).argmax())]

    return _search("gp", objective, space, propose, trials, seconds, seed, file, progress, startup=startup)


def fit_gaussian_process(positions, scores):
    """scikit-learn's regressor on positions in the unit cube, (trials, dimensions); noise is estimated too."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import Matern, WhiteKernel

    positions = np.asarray(positions)
    kernel = Matern(np.full(positions.shape[1], 0.5), (0.05, 10), nu=2.5) + WhiteKernel(0.01, (1e-6, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a dimension that does not matter ends at its bound
        return GaussianProcessRegressor(kernel, normalize_y=True, random_state=0).fit(positions, scores)


def expected_improvement(mean, deviation, best):
    """Expected gain over `best` of a score that is normal with this mean and standard deviation.

    Arrays of one shape; 0 deviation gives max(mean − best, 0).
    """
    mean, deviation = np.asarray(mean, float), np.asarray(deviation, float)
    gain = mean - best
    z = gain / np.where(deviation > 0, deviation, 1)
    return np.where(deviation > 0, gain * stats.norm.cdf(z) + deviation * stats.norm.pdf(z), np.maximum(gain, 0))


def successive_halving(
    objective, space, configurations, least, most, factor=3, trials=None, seconds=None, seed=0, file=None, progress=True
):
    """Give many settings a little, the best third of them three times as much, and so on.

    objective: also takes `resource`, such as the epochs to train, from `least` to `most`.
    configurations: settings drawn at the start. factor: 1 / factor of them survives each rung.
    A trial is one rung of one setting; only trials with the full resource are compared by `best`.
    Source: Jamieson & Talwalkar 2016; Li et al. 2018, Hyperband.
    """
    if not 0 < least < most or factor < 2 or configurations < factor:
        raise ValueError(
            "need 0 < least < most, factor of at least 2, and configurations of at least factor; "
            f"got least {least}, most {most}, factor {factor}, configurations {configurations}"
        )
    resources = [most]
    while resources[0] / factor >= least and len(resources) < np.log(configurations) / np.log(factor) + 1:
        resources.insert(0, resources[0] / factor)

    def propose(history, generator):
        rest, survivors = list(history), None
        for rung, resource in enumerate(resources):
            size = configurations if rung == 0 else min(max(1, configurations // factor**rung), len(survivors))
            here, rest = rest[:size], rest[size:]
            if len(here) < size:
                settings = sample(space, generator) if rung == 0 else survivors[len(here)].settings
                return settings, resource
            survivors = sorted((t for t in here if t.score is not None), key=lambda t: -t.score)
        return None

    if trials is None and seconds is None:
        trials = sum(max(1, configurations // factor**rung) for rung in range(len(resources)))
    rungs = {"configurations": configurations, "factor": factor, "resources": resources}
    return _search("halving", objective, space, propose, trials, seconds, seed, file, progress, **rungs)


def _search(method, objective, space, propose, trials, seconds, seed, file, progress, **arguments):
    "propose(history, generator) returns settings, (settings, resource), or None if there is nothing left to try."
    with Run(method, objective, space, trials, seconds, seed, file, progress, **arguments) as run:
        while not run.done:
            proposed = propose(run.trials, run.generator)
            if proposed is None:
                break
            run.evaluate(*(proposed if isinstance(proposed, tuple) else (proposed,)))
    return run.trials


def _position(space, settings):
    "Settings as a point of the unit cube."
    return [dimension.share(settings[name]) for name, dimension in space.items()]


def _hyperopt_trials(history, space):
    "Our trials as hyperopt's, so that it goes on as if it had run them itself."
    from hyperopt import JOB_STATE_DONE, STATUS_FAIL, STATUS_OK, trials_from_docs

    docs = []
    for number, trial in enumerate(history):
        values = {name: [_as_hyperopt_keeps(space[name], value)] for name, value in trial.settings.items()}
        result = {"status": STATUS_FAIL} if trial.score is None else {"status": STATUS_OK, "loss": -trial.score}
        misc = {"tid": number, "cmd": ("domain_attachment", "FMinIter_Domain"), "workdir": None}
        misc |= {"idxs": {name: [number] for name in space}, "vals": values}
        empty = dict.fromkeys(("spec", "exp_key", "owner", "book_time", "refresh_time"))
        docs.append({"state": JOB_STATE_DONE, "tid": number, "result": result, "misc": misc, "version": 0} | empty)
    return trials_from_docs(docs)


def _as_hyperopt_keeps(dimension, value):
    "Of a choice, hyperopt keeps the position and not the option."
    return dimension.options.index(value) if isinstance(dimension, Choice) else value


def _plain(value):
    "A number as Python's own, so that JSON can keep it."
    return value.item() if isinstance(value, np.generic) else value
