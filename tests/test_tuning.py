"""Searches: what they try, what they keep, how they go on, and what they refuse."""

import itertools
import json
import math
import sys
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from helpers import tuning
from helpers.assistant import sampling
from helpers.tuning import (
    Choice,
    Integer,
    LogUniform,
    Trials,
    Uniform,
    expected_improvement,
    figures,
    gp_search,
    grid,
    grid_search,
    objectives,
    random_search,
    sample,
    study,
    successive_halving,
    tpe_search,
)
from helpers.tuning import __main__ as command
from helpers.tuning.trials import describe, trial_seed

SPACE = {
    "rate": LogUniform(1e-4, 1e-1),
    "width": Choice((16, 64, 256)),
    "depth": Integer(1, 5),
    "share": Uniform(0.0, 0.8),
}


def score(rate, width, depth, share, seed=0):
    "Best at rate 0.01, width 64, depth 3, share 0.3; a little noise that depends on the seed."
    noise = 1e-3 * np.random.default_rng(seed).normal()
    return -(abs(math.log10(rate) + 2) + abs(width - 64) / 100 + abs(depth - 3) + abs(share - 0.3)) + noise


def another_score(rate, width, depth, share):
    return rate


def staged(resource, seed=0, **settings):
    return score(**settings, seed=seed) - 1 / resource


def halving(objective, space, **arguments):
    trials = arguments.pop("trials", None)
    return successive_halving(objective, space, 18, least=1, most=9, trials=trials, **arguments)


SEARCHES = {
    "grid": lambda objective, space, **a: grid_search(objective, grid(space, 2), shuffled=True, **a),
    "random": random_search,
    "quasi-random": lambda objective, space, **a: random_search(objective, space, quasi=True, **a),
    "tpe": lambda objective, space, **a: tpe_search(objective, space, startup=6, **a),
    "gp": lambda objective, space, **a: gp_search(objective, space, startup=9, **a),
    "halving": halving,
}
ALL = pytest.mark.parametrize("method", SEARCHES)


SEEDS = range(3)


def run(method, objective=None, space=SPACE, **arguments):
    objective = objective or (staged if method == "halving" else score)
    return SEARCHES[method](objective, space, progress=False, **arguments)


# the space


@given(st.sampled_from(list(SPACE.values())), st.floats(0, 1, exclude_max=True))
def test_a_dimension_stays_inside_and_knows_where_a_value_stands(dimension, u):
    value = dimension.at(u)
    if isinstance(dimension, Choice):
        assert value in dimension.options
    else:
        assert dimension.low <= value <= dimension.high
    share = dimension.share(value)
    assert -1e-9 <= share <= 1 + 1e-9
    if isinstance(dimension, Uniform | LogUniform):
        assert share == pytest.approx(u, abs=1e-9)


def test_log_uniform_gives_each_order_of_magnitude_its_share_and_uniform_does_not():
    rng = np.random.default_rng(0)
    log, plain = LogUniform(1e-4, 1e-1), Uniform(1e-4, 1e-1)
    drawn = np.array([[log.at(u), plain.at(u)] for u in rng.random(6000)])
    assert (drawn < 1e-3).mean(axis=0) == pytest.approx([1 / 3, 0.009], abs=0.02)


def test_whole_numbers_and_options_are_equally_likely():
    rng = np.random.default_rng(0)
    drawn = [sample(SPACE, rng) for _ in range(6000)]
    assert np.bincount([s["depth"] for s in drawn])[1:] / 6000 == pytest.approx([0.2] * 5, abs=0.03)
    assert np.mean([s["width"] == 16 for s in drawn]) == pytest.approx(1 / 3, abs=0.03)


def test_a_grid_has_both_ends_and_every_option():
    values = grid(SPACE, 3)
    assert values["rate"] == pytest.approx([1e-4, 10**-2.5, 1e-1])
    assert (values["width"], values["depth"], values["share"]) == ([16, 64, 256], [1, 3, 5], [0.0, 0.4, 0.8])


# what every search keeps to


@ALL
def test_a_search_returns_its_budget_of_trials_and_their_best(method):
    trials = run(method, trials=15)
    assert len(trials) == 15 and trials.errors == {}
    assert trials.best_so_far[-1] == trials.best.score
    assert (np.diff(trials.best_so_far[~np.isnan(trials.best_so_far)]) >= 0).all()
    assert trials.seconds.min() >= 0 and trials.frame().shape == (15, 7)
    for settings in trials.settings:
        assert list(settings) == list(SPACE)


@ALL
def test_the_same_seed_tries_the_same_and_another_seed_does_not(method):
    first, again, other = (run(method, trials=12, seed=seed) for seed in (1, 1, 2))
    assert first.settings == again.settings and (first.scores == again.scores).all()
    assert first.settings != other.settings


@ALL
def test_a_resumed_search_equals_the_uninterrupted_one(method, tmp_path):
    whole, file = run(method, trials=15), tmp_path / "search.json"
    for trials in (5, 12, 15):
        resumed = run(method, trials=trials, file=file)
    assert resumed.settings == whole.settings
    assert (resumed.scores == whole.scores).all()
    assert [t.resource for t in resumed] == [t.resource for t in whole]


@ALL
def test_a_search_stopped_in_the_middle_of_a_trial_goes_on_as_if_it_had_not(method, tmp_path):
    objective = staged if method == "halving" else score
    whole, file, calls = run(method, trials=14), tmp_path / "search.json", itertools.count()

    def stopped(**arguments):
        if next(calls) == 9:
            raise KeyboardInterrupt
        return objective(**arguments)

    def signed(rate, width, depth, share, seed, **resource):
        return stopped(rate=rate, width=width, depth=depth, share=share, seed=seed, **resource)

    def with_resource(rate, width, depth, share, seed, resource):
        return stopped(rate=rate, width=width, depth=depth, share=share, seed=seed, resource=resource)

    interrupted = with_resource if method == "halving" else signed
    with pytest.raises(KeyboardInterrupt):
        run(method, interrupted, trials=14, file=file)
    assert len(Trials.load(file)) == 9
    resumed = run(method, interrupted, trials=14, file=file)
    assert resumed.settings == whole.settings and (resumed.scores == whole.scores).all()


def test_the_file_is_plain_json_with_the_generators_state(tmp_path):
    random_search(score, SPACE, trials=3, file=tmp_path / "a.json", progress=False)
    kept = json.loads((tmp_path / "a.json").read_text())
    assert kept["generator_state"]["bit_generator"] == "PCG64" and len(kept["trials"]) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@ALL
def test_a_failing_trial_is_recorded_and_the_search_goes_on(method, tmp_path):
    def fails(rate, width, depth, share, seed, resource=9):
        if seed % 3 == 0:
            raise RuntimeError("out of memory")
        return math.nan if seed % 3 == 1 else staged(resource, seed, rate=rate, width=width, depth=depth, share=share)

    trials = run(method, fails, trials=18, file=tmp_path / "a.json")
    assert len(trials) >= 10
    kinds = {error.partition(":")[0] for error in trials.errors.values()}
    assert kinds == {"RuntimeError", "ValueError"}
    assert any("returned nan" in error for error in trials.errors.values())
    assert np.isnan(trials.scores).sum() == len(trials.errors)
    resumed = run(method, fails, trials=len(trials) + 2, file=tmp_path / "a.json")
    assert resumed.settings[: len(trials)] == trials.settings


def test_if_every_trial_fails_the_best_says_why():
    trials = random_search(lambda x: 1 / 0, {"x": Uniform(0, 1)}, trials=3, progress=False)
    assert repr(trials) == "Trials(random, 3 trials, 3 failed, no score)"
    with pytest.raises(ValueError, match="none of 3 trials has a score.*ZeroDivisionError: division by zero"):
        trials.best  # noqa: B018


def test_a_budget_in_seconds_ends_the_search(monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(tuning.trials.time, "perf_counter", lambda: float(next(clock)))
    for search in (random_search, tpe_search):
        assert 1 <= len(search(score, SPACE, seconds=7, progress=False)) <= 7


def test_a_trials_seed_differs_between_trials_and_not_between_runs():
    assert len({trial_seed(0, i) for i in range(100)} | {trial_seed(1, i) for i in range(100)}) == 200
    seen = []
    random_search(lambda x, seed: seen.append(seed) or 0, {"x": Uniform(0, 1)}, trials=3, progress=False)
    assert seen == [trial_seed(0, i) for i in range(3)]


# each search


def test_a_grid_tries_every_combination_once_and_in_order():
    values = {"x": [1, 2, 3], "y": ["a"]}
    trials = grid_search(lambda x, y: -abs(x - 2), values, progress=False)
    assert trials.settings == [{"x": x, "y": "a"} for x in (1, 2, 3)]
    assert trials.best.settings == {"x": 2, "y": "a"}


def test_tpe_is_hyperopts_own_fmin_trial_by_trial():
    from hyperopt import fmin, space_eval, tpe

    labelled, seen = {name: dimension.hyperopt(name) for name, dimension in SPACE.items()}, []

    def loss(point):
        seen.append(dict(point))
        return -score(**point)

    labels = fmin(loss, labelled, tpe.suggest, 30, rstate=np.random.default_rng(4), show_progressbar=False,
                  verbose=False)  # fmt: skip
    ours = tpe_search(lambda **s: score(**s), SPACE, trials=30, seed=4, progress=False)
    assert ours.settings == [{name: point[name] for name in SPACE} for point in seen]
    assert ours.best.settings == space_eval(labelled, labels) != labels, "labels hold positions, not options"


@pytest.mark.parametrize("startup", [3, 20])
def test_tpe_is_random_until_its_warm_up_ends(startup):
    from hyperopt import fmin, rand

    labelled, seen = {name: dimension.hyperopt(name) for name, dimension in SPACE.items()}, []
    fmin(lambda p: seen.append(dict(p)) or 0.0, labelled, rand.suggest, 25, rstate=np.random.default_rng(0),
         show_progressbar=False, verbose=False)  # fmt: skip
    ours = tpe_search(score, SPACE, trials=25, startup=startup, progress=False).settings
    assert ours[:startup] == seen[:startup] and ours[startup] != seen[startup]


def test_models_of_the_scores_beat_chance_where_scores_are_smooth():
    def bowl(x, y):
        return -((x - 0.7) ** 2) - (y - 0.2) ** 2

    space = {"x": Uniform(0, 1), "y": Uniform(0, 1)}
    regret = {
        search.__name__: np.median(
            [-search(bowl, space, trials=32, seed=s, progress=False).best.score for s in range(3)]
        )
        for search in (random_search, tpe_search, gp_search)
    }
    assert regret["gp_search"] < regret["tpe_search"] < regret["random_search"]


@given(st.floats(-3, 3), st.floats(0.05, 3), st.floats(-3, 3))
def test_expected_improvement_is_the_integral_it_stands_for(mean, deviation, best):
    top = mean + 10 * deviation
    integral = 0.0
    if best < top:
        integral, _ = integrate.quad(
            lambda v: (v - best) * stats.norm.pdf(v, mean, deviation), best, top, points=[mean] if best < mean else None
        )
    assert expected_improvement(mean, deviation, best) == pytest.approx(integral, abs=1e-6)


def test_without_uncertainty_the_improvement_is_the_gain():
    assert expected_improvement([1.0, 3.0], [0.0, 0.0], 2.0).tolist() == [0.0, 1.0]


def test_the_gaussian_process_passes_through_scores_without_noise():
    x = np.linspace(0, 1, 9)[:, None]
    model = tuning.search.fit_gaussian_process(x, np.sin(4 * x[:, 0]))
    mean, deviation = model.predict(np.array([[0.125], [0.4375]]), return_std=True)
    assert mean == pytest.approx(np.sin([0.5, 1.75]), abs=0.02)
    assert deviation[0] < deviation[1]


def test_quasi_random_points_fill_the_space_more_evenly():
    space = {"x": Uniform(0, 1), "y": Uniform(0, 1)}
    for seed in range(3):
        discrepancy = {
            quasi: stats.qmc.discrepancy(
                random_search(lambda x, y: 0, space, trials=32, seed=seed, quasi=quasi, progress=False)
                .frame()[["x", "y"]]
                .to_numpy()
            )
            for quasi in (False, True)
        }
        assert discrepancy[True] < discrepancy[False] / 3


def test_halving_keeps_a_third_on_each_rung_and_compares_only_full_trials():
    trials = successive_halving(staged, SPACE, 18, least=1, most=9, progress=False)
    assert [t.resource for t in trials] == [1] * 18 + [3] * 6 + [9] * 2
    assert trials.cost[-1] == pytest.approx(2 + 2 + 2)
    first = sorted(list(trials)[:18], key=lambda t: -t.score)
    assert [t.settings for t in list(trials)[18:24]] == [t.settings for t in first[:6]]
    assert trials.best.resource == 9
    assert np.isnan(trials.best_so_far[:24]).all()


# what is refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"trials": 0}, "trials must be a whole number of at least 1, got 0"),
        ({"trials": 2.5}, "got 2.5"),
        ({"seconds": 0}, "seconds must be above 0, got 0"),
        ({}, "needs a budget"),
    ],
)
@ALL
def test_a_budget_of_nothing_is_refused(method, arguments, message):
    if not arguments and method in ("grid", "halving"):
        assert len(run(method)) > 0  # these two have an end of their own
        return
    with pytest.raises(ValueError, match=message):
        run(method, **arguments)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "space must be a dict"),
        (None, "space must be a dict"),
        ({"rate": (0, 1)}, r"space\['rate'\] must be one of Uniform, LogUniform, Integer, Choice, got \(0, 1\)"),
        ({"temp": Uniform(0, 1)}, "space has temp, but the objective takes temperature, top_p"),
    ],
)
def test_a_wrong_space_is_refused_before_anything_is_tried(space, message):
    def objective(temperature=0.0, top_p=1.0):
        raise AssertionError("called")

    for search in (random_search, tpe_search, gp_search):
        with pytest.raises(ValueError, match=message):
            search(objective, space, trials=2, progress=False)


def test_a_setting_that_the_objective_needs_must_be_in_the_space():
    with pytest.raises(ValueError, match="the objective takes x, y"):
        random_search(lambda x, y: 0, {"x": Uniform(0, 1)}, trials=2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Uniform(1, 1), "needs finite low < high, got 1 and 1"),
        (lambda: Uniform(0, math.nan), "finite"),
        (lambda: LogUniform(0, 1), "above 0, got 0"),
        (lambda: Choice(()), "options of Choice is empty"),
        (lambda: grid(SPACE, 1), "points must be at least 2"),
        (lambda: grid_search(score, {"rate": []}), "lists that are not empty"),
        (lambda: successive_halving(staged, SPACE, 9, least=3, most=3), "0 < least < most"),
    ],
)
def test_wrong_bounds_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_file_of_another_search_is_refused(tmp_path):
    file = tmp_path / "a.json"
    random_search(score, SPACE, trials=2, file=file, progress=False)
    with pytest.raises(ValueError, match="its seed is 0, here 1"):
        random_search(score, SPACE, trials=3, seed=1, file=file, progress=False)
    with pytest.raises(ValueError, match="its method is 'random', here 'tpe'"):
        tpe_search(score, SPACE, trials=3, file=file, progress=False)
    with pytest.raises(ValueError, match="its space is"):
        random_search(score, SPACE | {"share": Uniform(0, 0.5)}, trials=3, file=file, progress=False)
    with pytest.raises(ValueError, match="its objective is .*score.*, here .*another_score"):
        random_search(another_score, SPACE, trials=3, file=file, progress=False)
    tpe_search(score, SPACE, trials=2, startup=6, file=tmp_path / "tpe.json", progress=False)
    with pytest.raises(ValueError, match="its arguments is {'startup': 6}, here {'startup': 20}"):
        tpe_search(score, SPACE, trials=3, file=tmp_path / "tpe.json", progress=False)
    file.write_text("{}")
    with pytest.raises(ValueError, match="holds no trials of a search"):
        random_search(score, SPACE, trials=3, file=file, progress=False)


def test_objectives_with_other_settings_are_described_differently():
    few, many = objectives.HeadEvaluator(runs=1), objectives.HeadEvaluator(runs=8)
    assert describe(few) != describe(many) and describe(few) == describe(objectives.HeadEvaluator(runs=1))
    assert "runs=8" in describe(many)
    assert describe(partial(score, depth=1)) != describe(partial(score, depth=2)) != describe(score)


# objectives on the real assistant


@pytest.fixture(scope="module")
def evaluator():
    return objectives.LLMEvaluator(k=5)


def test_the_evaluator_is_the_exact_expectation(evaluator):
    assert evaluator(temperature=0.7, top_p=0.9) == pytest.approx(evaluator.expected.pass_at_k(5, 0.7, 0.9))
    assert objectives.LLMEvaluator()(temperature=0.3) == pytest.approx(evaluator.expected.accuracy(0.3))


def test_sampled_answers_scatter_around_the_expectation_as_a_binomial_does(evaluator):
    sampled = objectives.LLMEvaluator(k=5, samples=3)
    scores = np.array([sampled(temperature=0.7, seed=seed) for seed in range(400)])
    right = evaluator.per_question(temperature=0.7)
    deviation = np.sqrt((right * (1 - right)).sum() / 3) / len(right)
    assert scores.mean() == pytest.approx(right.mean(), abs=4 * deviation / np.sqrt(400))
    assert scores.std() == pytest.approx(deviation, rel=0.15)
    assert sampled(temperature=0.7, seed=1) == sampled(temperature=0.7, seed=1)


def test_the_evaluator_refuses_what_it_should(evaluator):
    with pytest.raises(ValueError, match=r"temperature must be 0 \(greedy\) or a positive number, got -0.1"):
        evaluator(temperature=-0.1)
    with pytest.raises(TypeError, match="unexpected setting 'temp'"):
        evaluator(temp=0.5)
    with pytest.raises(ValueError, match="what a search looks at is no test any more"):
        objectives.LLMEvaluator(split="test")
    with pytest.raises(ValueError, match="at least 1, got k=5 and samples=0"):
        objectives.LLMEvaluator(k=5, samples=0)


def test_a_negative_temperature_in_a_search_is_recorded_with_its_error(evaluator):
    trials = random_search(evaluator, {"temperature": Uniform(-2, -1)}, trials=2, progress=False)
    assert all("temperature must be 0 (greedy) or a positive number" in error for error in trials.errors.values())


def test_settings_of_speed_change_no_answer(evaluator):
    assert evaluator(temperature=0.5, batch_size=1) == evaluator(temperature=0.5, batch_size=256)


def test_a_head_learns_more_in_more_epochs_and_its_trial_is_repeatable():
    head = objectives.HeadEvaluator(runs=1)
    short, long = (head(width=16, learning_rate=1e-2, seed=3, resource=r) for r in (1, 9))
    assert short < long < 0
    assert long == head(width=16, learning_rate=1e-2, seed=3, resource=9)
    for arguments, message in (({"metric": "loss"}, "metric must be"), ({"texts": "test"}, "texts must be")):
        with pytest.raises(ValueError, match=message):
            objectives.HeadEvaluator(**arguments)


def test_the_parts_of_the_labelled_texts_share_no_group():
    parts = objectives.labelled_vectors()
    sizes = [len(labels) for _, labels in parts.values()]
    assert len({vector.tobytes() for vectors, _ in parts.values() for vector in vectors}) == sum(sizes)


# what the lesson measures with


def test_entropy_and_nucleus_agree_with_sampling_by_hand():
    import torch

    rows = torch.from_numpy(-np.sort(-np.random.default_rng(0).normal(0, 3, (20, 50)))).float()
    for temperature, top_p in ((0.5, 0.7), (1.0, 0.9)):
        by_hand = [sampling.distribution(row, temperature, top_p) for row in rows.numpy()]
        assert study.nucleus_size(rows, temperature, top_p).tolist() == [np.count_nonzero(p) for p in by_hand]
        whole = [stats.entropy(sampling.distribution(row, temperature)) for row in rows.numpy()]
        assert study.entropy(rows, temperature) == pytest.approx(np.mean(whole), abs=1e-4)


def test_the_winner_of_equal_settings_looks_better_than_it_is():
    right = np.full((100, 100), 0.75)
    apparent, true, _ = study.noisy_winners(right, samples=1, repeats=300)
    assert true == pytest.approx(0.75)
    expected = np.mean(np.random.default_rng(1).binomial(100, 0.75, (300, 100)).max(axis=1)) / 100
    assert apparent.mean() == pytest.approx(expected, abs=0.01)


def test_without_noise_the_best_wins():
    right = np.zeros((3, 10))
    right[1] = 1
    apparent, true, winner = study.noisy_winners(right, samples=1, repeats=5)
    assert (apparent == 1).all() and (true == 1).all() and (winner == 1).all()


def test_choosing_flatters_only_on_the_texts_chosen_on():
    right = np.random.default_rng(0).random((50, 2000)) < 0.6
    report = {name: values.mean() for name, values in study.select_and_report(right, repeats=200).items()}
    chosen, *fresh = report.values()
    assert chosen > 0.68 and all(abs(value - 0.6) < 0.02 for value in fresh)


def test_a_clear_best_is_best_in_every_resample_and_a_tie_is_not():
    clear = np.vstack([np.zeros(30), np.ones(30)])
    assert (study.bootstrap_best(clear, [0.1, 0.9], resamples=50) == 0.9).all()
    even = np.tile([[1.0, 0], [0, 1]], 15)  # each is right where the other is wrong
    assert 0.3 < (study.bootstrap_best(even, [0.1, 0.9], resamples=500) == 0.9).mean() < 0.7


def test_questions_of_one_cluster_are_drawn_together():
    right = np.array([[0.5] * 10, [1.0] * 5 + [0.0] * 5])
    alone = (study.bootstrap_best(right, [0, 1], resamples=4000) == 1).mean()
    together = (study.bootstrap_best(right, [0, 1], resamples=4000, clusters=[0] * 5 + [1] * 5) == 1).mean()
    assert alone == pytest.approx(stats.binom.sf(5, 10, 0.5), abs=0.04)
    assert together == pytest.approx(0.25, abs=0.04), "both of two clusters the good one"


def test_when_a_target_is_first_reached():
    assert study.first_reached(np.array([[1.0, 2, 3], [0, 0, 1]]), 2).tolist() == [2, math.inf]


# figures, widgets, the command


CURVES = {"a": np.linspace(0, 1, 20).reshape(2, 10), "b": np.linspace(0, 2, 20).reshape(2, 10)}
FIGURES = {
    "curves": lambda: figures.curves(CURVES, "Rising", bottom=0.1),
    "heatmaps": lambda: figures.heatmaps({"x": np.eye(3)}, [1, 2, 3], [1, 2, 3], "Diagonal", "row", "column"),
    "histograms": lambda: figures.histograms({"a": np.arange(9.0), "b": np.arange(3.0)}, "Counts", "x", ("r", 2)),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_draws_and_labels_its_axes(name):
    made = FIGURES[name]()
    assert made._repr_mimebundle_()[0]["text/plain"].startswith("Figure: ")
    assert all(axis.get_xlabel() and axis.get_ylabel() for axis in made.axes)


def test_the_curves_widget_follows_its_sliders():
    method, seed, output = figures.curves_widget(CURVES).children
    assert output.outputs[0]["data"]["text/plain"] == "Figure: Seed 0: b ends highest"
    method.value, seed.value = "a", 1
    assert output.outputs[0]["data"]["text/plain"] == "Figure: Seed 1: a ends highest"
    assert len(output.outputs) == 1


def test_the_next_token_widget_shows_the_real_distribution(lm):
    prompt = "f(x, order=7)\nReturn x.\nWhat is the default of order in f?\norder"
    temperature, _, output = figures.next_token_widget(lm, prompt).children
    assert "temperature 1, top_p 1: 49,152 tokens can follow" in output.outputs[0]["data"]["text/plain"]
    temperature.value = 0
    assert "temperature 0, top_p 1: 1 tokens can follow" in output.outputs[0]["data"]["text/plain"]


def test_the_command_searches_and_prints_a_short_table(monkeypatch, capsys, tmp_path):
    file = tmp_path / "a.json"
    for trials in ("4", "6"):
        arguments = ["--method", "random", "--trials", trials, "--objective", "pass@5", "--file", str(file)]
        monkeypatch.setattr(sys, "argv", ["helpers.tuning", *arguments])
        command.main()
    printed = capsys.readouterr().out
    assert "temperature" in printed and "best of 6 trials" in printed
    assert len(Trials.load(file)) == 6


def test_the_command_compares_only_trials_with_the_full_resource(capsys):
    command.report(successive_halving(lambda x, resource: x - resource, {"x": Uniform(0, 1)}, 6, 1, 9, progress=False))
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 4 and float(rows[1].split()[1]) < -2, "two lines of words, and the one survivor"
    assert "nan" not in rows[2]


@pytest.mark.parametrize(
    ("arguments", "message"), [(["--trials", "0"], "trials must be"), (["--method", "x"], "choice")]
)
def test_the_command_ends_with_a_message_and_no_traceback(monkeypatch, capsys, arguments, message):
    monkeypatch.setattr(sys, "argv", ["helpers.tuning", *arguments])
    with pytest.raises(SystemExit) as stop:
        command.main()
    assert message in f"{stop.value}{capsys.readouterr().err}"
