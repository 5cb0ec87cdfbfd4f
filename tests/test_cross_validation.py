"""Folds, scores, intervals and the studies of lesson 04, against references and known answers."""

import numpy as np
import pytest
from joblib import parallel_config
from scipy import stats
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV, KFold, LeaveOneOut, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from helpers import cross_validation as cv
from helpers.training import Head

KINDS = ("random", "stratified")
RIDGE = RidgeClassifier(alpha=1.0)


@pytest.fixture(scope="module")
def small():
    "120 real sentences: (x, labels, groups)."
    texts = cv.library_texts()
    drawn = cv.draw_texts(texts.groups, 120, seed=0)
    return texts.x[drawn], texts.labels[drawn], texts.groups[drawn]


def test_random_folds_are_those_of_scikit_learn():
    labels = np.zeros(23)
    for mine, theirs in zip(
        cv.splits(labels, 4, "random", seed=3), KFold(4, shuffle=True, random_state=3).split(labels)
    ):
        assert all(map(np.array_equal, mine, theirs))


@pytest.mark.parametrize("splitter", cv.SPLITTERS)
def test_each_text_is_held_out_once_a_repeat(splitter, small):
    _, labels, groups = small
    alone = splitter == "leave one group out"
    folds = cv.splits(labels, None if alone else 3, splitter, groups, seed=1, repeats=1 if alone else 2)
    tested = np.bincount(np.concatenate([test for _, test in folds]), minlength=len(labels))
    assert (tested == (1 if alone else 2)).all()
    assert all(len(train) + len(test) == len(labels) for train, test in folds)
    if "group" in splitter:
        assert all(set(groups[train]).isdisjoint(groups[test]) for train, test in folds)


def test_stratified_folds_keep_the_shares_of_the_classes():
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    for _, test in cv.splits(labels, 10, "stratified"):
        assert np.bincount(labels[test]).tolist() == [6, 3, 1]


def test_a_seed_names_the_folds_and_repeats_differ():
    labels = np.arange(20) % 2
    first, again, other = (cv.splits(labels, 4, seed=seed, repeats=2) for seed in (0, 0, 5))
    same = [np.array_equal(a[1], b[1]) for a, b in zip(first, again)]
    assert all(same) and len(same) == 8
    assert not all(np.array_equal(a[1], b[1]) for a, b in zip(first, other))
    assert not all(np.array_equal(a[1], b[1]) for a, b in zip(first[:4], first[4:]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k": 1, "splitter": "random"}, "k must be a whole number from 2 to 6, the texts there are; got 1"),
        ({"k": 7, "splitter": "random"}, "from 2 to 6, the texts there are; got 7"),
        ({"k": 2.5}, "got 2.5"),
        ({"k": 3}, "class 1 has 2 texts, too few for 3 folds"),
        ({"k": 4, "splitter": "grouped", "groups": list("aabbcc")}, "3 groups cannot fill 4 folds"),
        ({"k": 3, "splitter": "stratified grouped", "groups": list("aabbcc")}, "class 1 has 2 texts"),
        ({"k": 2, "splitter": "grouped"}, "needs groups, one for each of 6 texts; got none"),
        ({"k": 2, "splitter": "grouped", "groups": list("ab")}, "one for each of 6 texts; got 2"),
        ({"k": 5, "splitter": "leave one group out", "groups": list("aabbcc")}, "k must be None"),
        ({"k": None, "splitter": "leave one group out", "groups": ["a"] * 6}, "at least 2 groups, got 1"),
        ({"k": 2, "splitter": "lucky"}, "splitter must be one of random, stratified"),
        ({"k": 2, "repeats": 0}, "repeats must be at least 1, got 0"),
    ],
)
def test_impossible_folds_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        cv.splits([0, 0, 0, 0, 1, 1], **settings)


def test_scores_are_those_of_scikit_learn_and_sizes_weigh_nothing_twice(small):
    x, labels, _ = small
    folds = cv.splits(labels, 7, "random")
    scores = cv.cross_validate(RIDGE, x, labels, folds)
    assert scores.per_fold == pytest.approx(cross_val_score(RIDGE, x, labels, cv=folds), abs=0)
    assert set(scores.test_sizes) == {17, 18} and (scores.train_sizes + scores.test_sizes == 120).all()
    assert np.average(scores.per_fold, weights=scores.test_sizes) == pytest.approx(scores.right.mean())


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_scores_do_not_depend_on_the_number_of_jobs(backend, small):
    x, labels, _ = small
    folds = cv.splits(labels, 4, seed=2)
    estimator = MLPClassifier((8,), max_iter=5, random_state=0) if backend == "threading" else RIDGE
    alone = cv.cross_validate(estimator, x, labels, folds, n_jobs=1)
    with parallel_config(backend=backend):
        together = cv.cross_validate(estimator, x, labels, folds, n_jobs=2)
    assert np.array_equal(alone.per_fold, together.per_fold) and np.array_equal(alone.right, together.right)


def test_the_estimator_that_is_handed_over_stays_untrained(small):
    x, labels, _ = small
    estimator = MLPClassifier((4,), max_iter=2, warm_start=True, random_state=0)
    cv.cross_validate(estimator, x, labels, cv.splits(labels, 2))
    assert not hasattr(estimator, "coefs_")


@pytest.mark.parametrize("alpha", [0.1, 1.0, 30.0])
@pytest.mark.parametrize(("k", "splitter"), [(5, "random"), (3, "stratified grouped"), (120, "random")])
def test_one_inverse_gives_what_training_every_fold_gives(alpha, k, splitter, small):
    x, labels, groups = small
    folds = cv.splits(labels, k, splitter, groups)
    quick, slow = cv.ridge_folds(x, labels, folds, alpha), cv.cross_validate(RidgeClassifier(alpha), x, labels, folds)
    assert np.array_equal(quick.right, slow.right) and np.array_equal(quick.per_fold, slow.per_fold)


def test_leave_one_out_is_as_many_folds_as_texts(small):
    x, labels, _ = small
    mine = cv.ridge_folds(x, labels, cv.splits(labels, len(labels), "random")).mean
    assert mine == pytest.approx(cross_val_score(RIDGE, x, labels, cv=LeaveOneOut()).mean())


def test_ridge_predictions_are_those_of_scikit_learn(small):
    x, labels, _ = small
    others = cv.library_texts().x[:500]
    assert np.array_equal(cv.ridge_predictions(x, labels, others), RIDGE.fit(x, labels).predict(others))


def test_heads_trained_at_once_are_those_trained_one_by_one(small):
    x, labels, _ = small
    folds = cv.splits(labels, 7, "random")  # two sizes of training set
    together = cv.head_folds(Head(8), x, labels, folds, epochs=4)
    alone = [cv.head_folds(Head(8), x, labels, [fold], seed=i, epochs=4).per_fold[0] for i, fold in enumerate(folds)]
    assert together.per_fold == pytest.approx(alone, abs=1e-9)
    assert together.right.shape == labels.shape


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y, f: (x[:-1], y, f), "x has 119 texts and labels has 120"),
        (lambda x, y, f: (x, y, []), "folds is empty"),
        (lambda x, y, f: (x, y, [(np.arange(9), np.arange(8, 20))]), "fold 0 must have texts on both sides"),
        (lambda x, y, f: (x, np.zeros(120, int), f), "labels hold one class"),
    ],
)
def test_what_cannot_be_scored_is_refused(change, message, small):
    x, labels, _ = small
    with pytest.raises(ValueError, match=message):
        cv.ridge_folds(*change(x, labels, cv.splits(labels, 3)))


def test_a_penalty_of_zero_is_refused(small):
    with pytest.raises(ValueError, match="alpha must be above 0, got 0"):
        cv.ridge_folds(*small[:2], cv.splits(small[1], 3), alpha=0)


def scores(per_fold, test=20, train=80):
    size = len(per_fold)
    return cv.Scores(np.array(per_fold), np.array(per_fold), np.full(size, train), np.full(size, test))


def test_intervals_of_the_guides_folds_by_hand():
    guide = scores([0.82, 0.79, 0.81, 0.80, 0.83])
    half = {name: (i.high - i.low) / 2 for name, i in ((n, f(guide)) for n, f in cv.INTERVALS.items())}
    assert guide.mean == pytest.approx(0.81)
    assert guide.spread == pytest.approx(np.sqrt(0.0010 / 4))
    assert half["±std"] == pytest.approx(np.sqrt(0.0010 / 5))
    assert half["±std/√k"] == pytest.approx(np.sqrt(0.0010 / 4 / 5))
    assert half["naive"] == pytest.approx(2.776445 * np.sqrt(0.0010 / 4 / 5), rel=1e-6)
    assert half["corrected"] == pytest.approx(2.776445 * np.sqrt(0.0010 / 4 * (1 / 5 + 20 / 80)), rel=1e-6)


def test_naive_intervals_cover_independent_folds_and_only_those():
    rng, covered = np.random.default_rng(0), {"naive": 0, "±std/√k": 0}
    for _ in range(2000):
        independent = scores(rng.normal(0.8, 0.05, 5))
        for name in covered:
            interval = cv.INTERVALS[name](independent)
            covered[name] += interval.low <= 0.8 <= interval.high
    assert covered["naive"] / 2000 == pytest.approx(0.95, abs=0.015)
    assert covered["±std/√k"] / 2000 == pytest.approx(1 - 2 * stats.t.sf(1, 4), abs=0.03)


def test_the_bootstrap_draws_whole_clusters_and_skips_what_was_never_held_out():
    right = np.array([1.0] * 10 + [0.0] * 10 + [np.nan] * 5)
    one_fold = cv.Scores(np.array([0.5]), right, np.array([5]), np.array([20]))
    alone, together = one_fold.bootstrap(), one_fold.bootstrap(clusters=np.repeat([0, 1, 2], [10, 10, 5]))
    assert alone.estimate == 0.5
    assert together.high - together.low > alone.high - alone.low
    with pytest.raises(ValueError, match="one fold has no spread"):
        one_fold.naive()


def test_corrected_t_test_by_hand_and_its_error(small):
    a, b = scores([0.8, 0.7, 0.9, 0.8, 0.75]), scores([0.7, 0.7, 0.8, 0.75, 0.7])
    difference, p = cv.corrected_t_test(a, b)
    d = a.per_fold - b.per_fold
    assert p == pytest.approx(2 * stats.t.sf(d.mean() / (d.std(ddof=1) * np.sqrt(1 / 5 + 1 / 4)), 4))
    assert p > stats.ttest_1samp(d, 0).pvalue
    assert difference.low < difference.estimate == pytest.approx(0.06)
    assert cv.corrected_t_test(a, a)[1] == 1
    with pytest.raises(ValueError, match="same folds"):
        cv.corrected_t_test(a, scores([0.8, 0.7]))


def test_draws_know_the_truth_and_whole_groups_share_nothing_with_the_rest():
    texts = cv.library_texts()
    protocols = {name: cv.PROTOCOLS[name] for name in ("k=5", "leave-one-out")}
    (draw,) = cv.draws(texts, 100, [4], protocols, fold_models=["k=5"])
    pool, judges = texts.parts
    drawn = pool[cv.draw_texts(texts.groups[pool], 100, seed=4)]
    model = RidgeClassifier(alpha=1.0).fit(texts.x[drawn], texts.labels[drawn])
    assert draw.truth == pytest.approx(model.score(texts.x[judges], texts.labels[judges]))
    assert len(draw.scores["leave-one-out"].per_fold) == 100
    assert set(draw.fold_models) == {"k=5"} and draw.fold_models["k=5"] < draw.truth + 0.05
    whole = cv.draw_texts(texts.groups, 200, seed=1, whole_groups=True)
    outside = np.delete(texts.groups, whole)
    assert len(whole) >= 200 and set(texts.groups[whole]).isdisjoint(outside)
    (draw,) = cv.draws(texts, 200, [1], {"k=5": cv.PROTOCOLS["k=5"]}, whole_groups=True)
    model.fit(texts.x[whole], texts.labels[whole])
    rest = np.setdiff1d(np.arange(3000), whole)
    assert draw.truth == pytest.approx(model.score(texts.x[rest], texts.labels[rest]))
    with pytest.raises(ValueError, match="size must be from 1 to 2999"):
        cv.draw_texts(texts.groups, 3000, seed=0)


def test_those_who_judge_are_never_drawn_and_no_harder_than_the_others():
    texts = cv.library_texts()
    pool, judges = texts.parts
    assert sorted([*pool, *judges]) == list(range(3000)) and len(judges) == 1000
    assert np.bincount(texts.labels[judges]).max() - np.bincount(texts.labels[judges]).min() <= 1
    right = [[], []]
    for seed in range(20):  # other models than those that told how hard a text is
        drawn = cv.draw_texts(texts.groups, 200, seed)
        answers = cv.ridge_predictions(texts.x[drawn], texts.labels[drawn], texts.x) == texts.labels
        for part, found in zip((pool, judges), right, strict=True):
            found.append(answers[np.setdiff1d(part, drawn)].mean())
    assert np.mean(right[0]) == pytest.approx(np.mean(right[1]), abs=0.01)


def test_fold_models_are_those_that_training_every_fold_makes(small):
    x, labels, _ = small
    texts, folds = cv.library_texts(), cv.splits(labels, 7, "random")
    mine = cv.fold_models_accuracy(x, labels, folds, texts.x[:500], texts.labels[:500], alpha=0.5)
    model = RidgeClassifier(alpha=0.5)
    theirs = [model.fit(x[train], labels[train]).score(texts.x[:500], texts.labels[:500]) for train, _ in folds]
    assert mine == pytest.approx(theirs)


def test_no_group_is_larger_than_allowed_and_small_ones_are_whole():
    texts = cv.library_texts()
    capped = cv.at_most_per_group(texts, 10)
    names, sizes = np.unique(texts.groups, return_counts=True)
    kept_names, kept = np.unique(capped.groups, return_counts=True)
    assert names.tolist() == kept_names.tolist() and kept.tolist() == np.minimum(sizes, 10).tolist()
    position = texts.sources.index(capped.sources[100])
    assert texts.words[position] == capped.words[100] and (texts.x[position] == capped.x[100]).all()
    with pytest.raises(ValueError, match="most must be at least 1, got 0"):
        cv.at_most_per_group(texts, 0)


def test_coverage_counts_the_intervals_that_hold_the_truth():
    drawn = [cv.Draw(t, {"k=5": scores([0.4, 0.6])}, np.arange(2), {"k=5": 0.5}) for t in (0.45, 0.55, 0.75)]
    found = cv.coverage(drawn, "k=5", lambda s: cv.Interval(s.mean, s.mean - 0.1, s.mean + 0.1))
    assert found.this_model.estimate == pytest.approx(2 / 3)
    assert found.expected.estimate == 1  # their mean, 0.583, is inside
    assert found.fold_models.estimate == 1 and (found.above, found.below) == (pytest.approx(1 / 3), 0)
    assert found.half_width == pytest.approx(0.1)
    error = cv.estimation_error(drawn, "k=5")
    assert error["bias"] == pytest.approx(0.5 - 1.75 / 3)
    assert error["rmse"] == pytest.approx(np.sqrt((0.05**2 + 0.05**2 + 0.25**2) / 3))


def test_shuffling_keeps_what_it_should():
    labels, groups = np.array([0, 0, 1, 1, 2, 2]), np.array([5, 5, 6, 6, 7, 7])
    whole = cv.shuffled(labels, 1, groups)
    assert sorted(whole) == sorted(labels) and (whole[::2] == whole[1::2]).all()
    assert sorted(cv.shuffled(labels, 1)) == sorted(labels)
    with pytest.raises(ValueError, match="one label each"):
        cv.shuffled(labels, 1, np.zeros(6))


def test_shuffled_labels_score_at_chance_and_copies_in_two_folds_do_not(small):
    x, labels, _ = small
    doubled, parent = np.repeat(x, 2, axis=0), np.repeat(np.arange(120), 2)
    leaking, honest = [], []
    for seed in range(10):
        y = cv.shuffled(np.repeat(labels, 2), seed, parent)
        leaking.append(cv.ridge_folds(doubled, y, cv.splits(y, 5, "random", seed=seed), 0.1).mean)
        honest.append(cv.ridge_folds(doubled, y, cv.splits(y, 5, "grouped", parent, seed=seed), 0.1).mean)
    assert np.mean(honest) == pytest.approx(0.2, abs=0.05)
    assert np.mean(leaking) > 0.6


def test_selecting_features_before_the_split_leaks_and_scaling_hardly_does():
    texts, ridge = cv.library_texts(), RidgeClassifier(alpha=0.1)
    before, inside = cv.before_and_inside(SelectKBest(f_classif, k=20), ridge, texts, 100, range(4), shuffle=True)
    assert (before > inside).all() and inside.mean() == pytest.approx(0.2, abs=0.08)
    before, inside = cv.before_and_inside(StandardScaler(), RidgeClassifier(alpha=100), texts, 100, range(4))
    assert before == pytest.approx(inside, abs=0.06)


def test_copies_leak_through_random_folds_and_originals_come_near_the_truth():
    found = cv.augmented(cv.library_texts(), [0], size=60, copies=2)
    score = {name: values[0] for name, values in found.items()}
    assert score["random"] > score["truth"] + 0.05 and score["random_shuffled_by_sentence"] > 0.4
    assert score["grouped_shuffled_by_sentence"] < 0.35 > score["random_shuffled_by_copy"]
    assert abs(score["originals"] - score["truth"]) < 0.2


def test_dropped_words_keep_the_order_and_at_least_one_word():
    rng = np.random.default_rng(0)
    assert cv.with_words_dropped("a b c d", rng, share=0) == "a b c d"
    assert cv.with_words_dropped("a b c d", rng, share=1) == "a"
    kept = cv.with_words_dropped(" ".join(map(str, range(1000))), rng).split()
    assert 750 < len(kept) < 850 and kept == sorted(kept, key=int)


def test_trained_on_all_there_is_equals_plain_folds_and_more_is_refused(small):
    x, labels, _ = small
    folds = cv.splits(labels, 4, "random")
    assert np.array_equal(cv.trained_alike(x, labels, folds, 90, [0]), cv.ridge_folds(x, labels, folds).right)
    fewer = cv.trained_alike(x, labels, folds, 20, range(4))
    assert fewer.mean() < cv.ridge_folds(x, labels, folds).mean and set(fewer) <= {0, 0.25, 0.5, 0.75, 1}
    with pytest.raises(ValueError, match="size must be from 1 to 90.*got 91"):
        cv.trained_alike(x, labels, folds, 91, [0])


def test_stratified_folds_lose_fewer_classes():
    texts = cv.library_texts()
    labels = np.where(np.arange(3000) % 4 == 0, texts.labels, 0)  # four rare classes
    random, stratified = (cv.missing_classes(texts.x, labels, kind, 120, range(5))[0].mean() for kind in KINDS)
    assert stratified < random


def test_flat_and_nested_are_those_of_grid_search(small):
    x, labels, _ = small
    every = np.arange(x.shape[1])
    alphas = [0.01, 1.0, 30.0]
    flat, nested, chosen = cv.flat_and_nested(x, labels, [(every, alpha) for alpha in alphas], k=4, seed=2)
    folds = KFold(4, shuffle=True, random_state=2)
    search = GridSearchCV(RIDGE, {"alpha": alphas}, cv=folds)
    assert nested == pytest.approx(cross_val_score(search, x, labels, cv=folds).mean())
    search.fit(x, labels)
    assert (flat, alphas[chosen]) == (pytest.approx(search.best_score_), search.best_params_["alpha"])


def test_candidates_are_refused_when_they_make_no_sense():
    assert len(cv.candidates(8, 384, seed=0)) == 8
    with pytest.raises(ValueError, match="count must be a multiple of 4"):
        cv.candidates(6, 384, seed=0)


def test_choosing_on_the_test_set_reports_more_than_choosing_on_validation():
    found = [cv.choose_on(cv.library_texts(), 100, seed, count=8) for seed in range(8)]
    mean = {name: np.mean([row[name] for row in found]) for name in found[0]}
    assert mean["test_reported"] > mean["test_truth"] + 0.05
    assert mean["test_reported"] > mean["validation_reported"]


def test_comparing_a_learner_with_itself_finds_nothing():
    p, differences = cv.compare_halves(cv.library_texts(), (3, 3), 60, range(2))
    assert all(values == [1.0, 1.0] for values in p.values()) and differences == [0.0, 0.0]


def test_the_widget_shows_folds_and_names_what_is_impossible():
    box = cv.explore(cv.library_texts())
    k, size, splitter, new_from, dataset, shown = box.children

    def output():
        return [o["data"]["text/plain"] if "data" in o else o["text"] for o in shown.outputs]

    (first,) = output()
    assert first.startswith("Figure: The truth is 0.") and "held by: " in first
    dataset.value = 3
    assert output() != [first]
    new_from.value = "other modules"
    assert "none" in output()[0], "random folds know nothing of other modules"
    splitter.value, size.value, k.value = "stratified", 50, 20
    assert "too few for 20 folds" in output()[0]


def test_the_command_prints_coverage(capsys):
    cv.main(repetitions=4, size=60)
    printed = capsys.readouterr().out
    assert "4 datasets of 60 sentences" in printed
    assert all(name in printed for name in cv.INTERVALS)


def test_logistic_regression_is_scored_too(small):
    x, labels, _ = small
    assert cv.cross_validate(LogisticRegression(C=10), x, labels, cv.splits(labels, 3)).mean > 0.4
