import math
import sys
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from helpers.assistant.agent import Assistant
from helpers.assistant.config import GUIDE, Config
from helpers.parametrization import __main__ as command
from helpers.parametrization import audit, checklist, figures, formulas, interactions, measure, recorded

# ---- formulas


def test_the_formulas_give_what_the_ledger_recomputed():
    assert [round(formulas.temperature(n), 3) for n in (100, 1_000, 10_000, 100_000)] == [0.433, 0.5, 0.567, 0.633]
    assert [int(formulas.embedding_dimension(n)) for n in (100, 1_000, 10_000, 100_000)] == [31, 100, 316, 1000]
    assert [int(formulas.top_k(n)) for n in (1, 100, 1_000, 10_000, 100_000)] == [3, 3, 10, 33, 105]
    assert formulas.regularization(4608, 10_000) == pytest.approx(2.17e-6, rel=1e-2)
    assert formulas.spoken_top_k(10) == pytest.approx(1.05, abs=0.01)


def test_three_of_the_worked_examples_are_wrong():
    examples = formulas.worked_examples()
    assert len(examples) == 16
    assert [example.claim for example in examples if not example.holds] == ["P17", "P18", "P20"]
    assert [round(example.times_off) for example in examples if not example.holds] == [10, 10, 32]


@pytest.mark.parametrize(
    "formula", [formulas.temperature, formulas.embedding_dimension, formulas.top_k, formulas.strategy]
)
@pytest.mark.parametrize("size", [0, 0.5, -3, math.inf, math.nan])
def test_a_size_that_cannot_be_is_named(formula, size):
    with pytest.raises(ValueError, match=f"must be at least 1 and finite, got {size}"):
        formula(size)


def test_a_size_must_be_a_number_and_parameters_are_checked_too():
    with pytest.raises(TypeError, match="data_size must be a number, got '10'"):
        formulas.temperature("10")
    with pytest.raises(ValueError, match="parameters must be at least 1"):
        formulas.regularization(0, 100)


def test_the_strategy_changes_where_the_guide_says():
    names = [formulas.strategy(n).name for n in (1, 4_999, 5_000, 50_000, 50_001)]
    assert names == ["conservative", "conservative", "balanced", "balanced", "aggressive"]


def test_recommendations_follow_the_size_and_contradict_each_other():
    by = {r.by: (r.low, r.high) for r in formulas.recommendations("temperature", 100_000)}
    assert by["strategy"] == (0.7, 0.7) and by["example"] == (0.6, 0.6) and by["table"] == (0.3, 0.5)
    assert "example" not in {r.by for r in formulas.recommendations("temperature", 5)}
    assert formulas.recommendations("top_p", 100) == ()
    assert "temperature" in formulas.contradictions(100_000)
    same = (formulas.Recommendation("a", 1, 3, ""), formulas.Recommendation("b", 2, 9, ""))
    assert formulas.agree(same) and not formulas.agree((*same, formulas.Recommendation("c", 4, 4, "")))


def test_every_claim_that_is_named_is_in_the_ledger():
    from helpers.course.claims import load_claims

    known = {claim.id for claim in load_claims()}
    named = {claim for rows in formulas.PRESCRIPTIONS.values() for _, claim, _ in rows}
    named |= {claim for *_, claims in formulas.BETWEEN_DOCUMENTS for claim in claims.split()}
    assert named <= known


# ---- audit


def test_the_audit_reads_the_live_config():
    rows = {row.knob: row for row in audit.audit(replace(GUIDE, temperature=0.2, top_k=7), 10_000)}
    assert rows.keys() == audit.KNOBS.keys()
    assert rows["temperature"].current == 0.2 and rows["top_k"].current == 7
    assert rows["embedding_dim"].current == 384 and rows["dropout"].current == audit.NOTHING_TRAINED
    assert rows["top_k"].contradicts and not rows["top_p"].recommended
    assert rows["temperature"].kind == audit.INFERENCE and "6,176 documents" in rows["chunk_size"].measured


def test_the_audit_takes_what_was_measured_nearest():
    small, large = (audit.audit(GUIDE, n, ["top_k"])[0].measured for n in (60, 10**6))
    assert "(index of 100)" in small and "(index of 6,176)" in large and small != large


def test_the_guides_own_dict_is_audited():
    rows = audit.audit({"temperature": 0.5, "embedding_dim": 384, "dropout": 0.2}, 1_000, ["temperature", "dropout"])
    assert [row.current for row in rows] == [0.5, 0.2]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((GUIDE, 0), ValueError, "data_size must be at least 1"),
        ((GUIDE, 100, ["temprature"]), ValueError, "unknown knob 'temprature'; there is temperature"),
        (({"learning_rate": 1}, 100), ValueError, "unknown knob 'learning_rate'"),
        (({"embedding_dim": 1024}, 100), ValueError, "embedding_dim must be 384.*got 1024. Another width needs"),
        (({"temperature": 3}, 100), ValueError, "temperature must be from 0 to 2, got 3"),
        (({"dropout": 1.0}, 100), ValueError, "dropout must be at least 0 and below 1"),
        (({"regularization": -1}, 100), ValueError, "regularization must be at least 0"),
        (({"dropout": "high"}, 100), TypeError, "dropout must be a number, got 'high'"),
        ((0.7, 100), TypeError, "config must be a Config or a dict"),
    ],
)
def test_what_cannot_be_audited_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        audit.audit(*arguments)


def test_the_terminal_prints_the_audit(capsys):
    command.main(["--documents", "10000", "--knob", "top_k", "--knob", "batch_size"])
    printed = capsys.readouterr().out
    assert "top_k = 3   [inference]" in printed and "33 (formula, P23)" in printed
    assert "these exclude each other" in printed and "batch_size = 32   [only speed]" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--documents", "0"], "data_size must be at least 1"),
        (["--knob", "magic"], "unknown knob 'magic'"),
        (["--project", "nowhere"], "target must be a folder"),
    ],
)
def test_the_terminal_ends_with_a_message(arguments, message, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["helpers.parametrization"])
    with pytest.raises(SystemExit, match=message):
        command.main(arguments)


# ---- checklist


def test_the_checklist_finds_names_and_says_what_is_missing(tmp_path, capsys):
    (tmp_path / "train.py").write_text("from sklearn.model_selection import GroupKFold\nfit(x, weight_decay=0.1)\n")
    (tmp_path / "broken.py").write_text("def (")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "other.py").write_text("import redis")
    points = {point.guide: point for point in checklist.checklist(tmp_path)}
    assert len(points) == 10
    found = {name for name, point in points.items() if point.there}
    assert found == {"Use 70/15/15 train/val/test split", "Add regularization if gap > 5%"}
    assert points["Add regularization if gap > 5%"].where == "train.py"
    assert str(points["Cache results for repeated queries"]).startswith("MISSING")
    command.main(["--project", str(tmp_path)])
    assert capsys.readouterr().out.count("MISSING") == 8


def test_a_notebook_is_code_too(write_notebook):
    folder = write_notebook(["%matplotlib inline\nfrom functools import lru_cache", ""]).parent
    assert [p.there for p in checklist.checklist(folder)].count(True) == 1


def test_a_config_cannot_tell_most_points():
    points = checklist.checklist(Config(batch_size=1))
    assert [point.there for point in points].count(None) == 9
    assert [point.there for point in points].count(False) == 1


def test_a_target_that_cannot_be_looked_through_is_named(tmp_path):
    with pytest.raises(ValueError, match="has no Python code"):
        checklist.checklist(tmp_path)
    with pytest.raises(TypeError, match="target must be a folder or a Config, got int"):
        checklist.checklist(3)


# ---- indexes of any size


@pytest.fixture(scope="module")
def searched():
    return measure.searches()


def test_a_smaller_index_holds_the_right_document_and_keeps_the_order(searched):
    found = measure.found_in(searched, 50, seed=3)
    assert found.shape == (150, 50) and (found == searched.right[:, None]).any(axis=1).all()
    place = np.argsort(searched.dense[7])  # of each document in the whole ranking
    assert (np.diff(place[found[7]]) > 0).all()
    np.testing.assert_array_equal(found, measure.found_in(searched, 50, seed=3))
    assert (measure.found_in(searched, searched.documents) == searched.dense).all()


def test_recall_falls_as_the_index_grows(searched):
    small, large = (measure.ranks(searched, n, range(2)) for n in (100, 1_000))
    assert small.shape == (2, 150) and small.min() == 1 and small.max() <= 100
    assert (small <= 3).mean() > (large <= 3).mean() + 0.1
    assert (measure.ranks(searched, 200, [0], "fused") <= 10).mean() > 0.7


def test_an_index_of_impossible_size_is_refused(searched):
    with pytest.raises(ValueError, match="size must be from 1 to 6176, the documents there are; got 9999"):
        measure.members(searched, 9_999, 0)


def test_needed_top_k_is_the_smallest_that_is_enough():
    found = np.array([[1, 2, 3, 4, 100]])
    assert measure.needed_top_k(found, 0.8) == 4 and measure.needed_top_k(found, 0.81) == 100


def test_the_slope_of_a_power_law_is_its_exponent():
    sizes = [10, 100, 1_000]
    assert measure.slope(sizes, [5 * n**0.5 for n in sizes]) == pytest.approx(0.5)
    both = np.array([[n**-0.5, n**2.0] for n in sizes])
    np.testing.assert_allclose(measure.slope(sizes, both), [-0.5, 2])
    ranks = [np.full((1, 40), n) for n in sizes]
    interval = measure.slope_over_questions(sizes, ranks, 0.8, np.arange(40), resamples=20)
    assert interval.low == pytest.approx(interval.high) == pytest.approx(1)


def test_a_wider_space_changes_no_ranking_and_a_narrower_one_does():
    whole = measure.recall_with(measure.document_vectors(), measure.searches().vectors, (100,), seeds=[0])[100]
    wide = measure.recall_with(*measure.widened(1024), (100,), seeds=[0])[100]
    narrow = measure.recall_with(*measure.projected(8), (100,), seeds=[0])[100]
    assert (wide == whole).mean() > 0.99 and narrow.mean() < whole.mean() - 0.1


# ---- λ


def test_the_ridge_path_equals_scikit_learn():
    rng = np.random.default_rng(0)
    x, y, held_x, held_y = rng.normal(size=(40, 7)), rng.integers(0, 3, 40), rng.normal(size=(25, 7)), np.arange(25) % 3
    path = measure.ridge_path(x, y, held_x, held_y, 3, [0.01, 0.5])
    for (loss, accuracy), strength in zip(path, (0.01, 0.5), strict=True):
        theirs = Ridge(alpha=strength * len(x)).fit(x, np.eye(3)[y]).predict(held_x)  # which sums over texts
        assert loss == pytest.approx(((theirs - np.eye(3)[held_y]) ** 2).sum(axis=1).mean())
        assert accuracy == (theirs.argmax(axis=1) == held_y).mean()


def test_the_lowest_point_is_interpolated_but_not_beyond_the_grid():
    grid = np.geomspace(1e-4, 1, 9)
    assert measure.lowest(grid, (np.log(grid) - np.log(0.02)) ** 2) == pytest.approx(0.02)
    assert measure.lowest(grid, -grid) == 1 and measure.lowest(grid, grid) == 1e-4


def test_best_lambda_falls_with_labels_right_or_wrong():
    clean = measure.best_strengths(measure.strengths_by_size((100, 1_000), seeds=range(2)))
    noisy = measure.best_strengths(measure.strengths_by_size((100, 1_000), noise=0.4, seeds=range(2)))
    assert (clean[1] < clean[0]).all() and (noisy[1] < noisy[0]).all()
    with pytest.raises(ValueError, match="sizes must be at most"):
        measure.strengths_by_size((5_000,), seeds=[0])


def test_both_protocols_estimate_an_accuracy_from_the_texts_they_are_given():
    x, y, groups, classes = measure.labelled()
    for protocol in (measure.by_split, measure.by_nested_folds):
        chosen, estimate = protocol(x[:120], y[:120], groups[:120], classes, [1e-3, 1e-2], seed=0)
        assert chosen in (1e-3, 1e-2) and 0.2 < estimate < 0.9


def test_null_changes_flatter():
    class Coin:
        def sample_right(self, samples, temperature, seed):
            return np.random.default_rng(seed).random((100, samples)) < 0.5

        def accuracy(self, temperature):
            return 0.5

    reported, true = measure.null_changes(Coin(), 20, range(50))
    assert (true == 0.5).all() and reported.mean() > 0.57
    assert measure.null_changes(Coin(), 0, range(200))[0].mean() == pytest.approx(0.5, abs=0.02)


def test_two_proportions_equals_the_table():
    assert measure.two_proportions(0.75, 0.82, 100) == pytest.approx(0.228, abs=0.001)


# ---- one at a time, jointly


def ridge(x, y):
    return -((x - y) ** 2) * 10 - (x - 3) ** 2  # a diagonal ridge: one at a time gets stuck


OPTIONS = {"x": (0, 1, 2, 3, 4), "y": (0, 1, 2, 3, 4)}


def test_one_at_a_time_gets_stuck_where_settings_interact():
    stuck = interactions.one_at_a_time(ridge, OPTIONS, {"x": 0, "y": 0})
    joint = interactions.jointly(ridge, OPTIONS)
    assert joint.settings == {"x": 3, "y": 3} and joint.scored == 25
    assert stuck.score < joint.score and stuck.scored == 9


def test_one_at_a_time_is_enough_where_they_do_not():
    found = interactions.one_at_a_time(lambda x, y: -abs(x - 3) - abs(y - 1), OPTIONS, {"x": 0, "y": 0})
    assert found.settings == {"x": 3, "y": 1} and found.score == 0


def test_unknown_settings_are_named():
    with pytest.raises(ValueError, match="order and start must name the settings x, y"):
        interactions.one_at_a_time(ridge, OPTIONS, {"x": 0, "y": 0}, ("x", "z"))


def test_random_draws_find_the_best_of_what_they_see():
    table = np.arange(12).reshape(3, 4)
    assert (interactions.at_random(table, 12, draws=5) == 11).all()
    few = interactions.at_random(table, 1, draws=2_000)
    assert few.min() == 0 and few.mean() == pytest.approx(5.5, abs=0.4)


def test_ablations_add_up_in_every_order():
    gains = interactions.ablations(lambda a, b: a * b, {"a": 1, "b": 1}, {"a": 3, "b": 4})
    assert gains == {("a", "b"): {"a": 2, "b": 9}, ("b", "a"): {"b": 3, "a": 8}}


def test_what_chooses_does_not_score():
    clusters = np.repeat(np.arange(20), 2)
    first, second = interactions.halves(clusters)
    assert not (set(clusters[first]) & set(clusters[second])) and abs(first.sum() - 20) <= 2

    def right(own):  # each setting is right on its own half alone
        return (first if own else second).astype(float)

    scores, chosen = interactions.choose_and_score(
        right, clusters, lambda score: interactions.jointly(score, {"own": (True, False)})
    )
    assert scores.max() == 0 and [c.score for c in chosen] == [1.0, 1.0]


# ---- the record


def test_the_record_counts_documents_as_the_assistant_does(searched):
    answered = recorded.recorded_answers()
    counts = recorded.shown_by(answered.cosines[:20], 3, 0.4)
    assistant = Assistant(Config(method="dense", top_k=3, similarity_threshold=0.4))
    found = assistant.retrieve([question.text for question in searched.questions[:20]])
    assert counts.tolist() == [len(sources) for sources in found]
    assert (answered.right(0.0, 3, 0.7) == 0).all()  # nothing is that near, so nothing is answered


def test_the_record_equals_what_the_model_says(searched):
    live = recorded.expected_with(searched.dense[:3], [2] * 3, searched.questions[:3]).probabilities(0.5)
    np.testing.assert_allclose(live, recorded.recorded_answers().right(0.5, 2)[:3], atol=0.005)


def test_the_record_refuses_what_was_not_measured():
    answered = recorded.recorded_answers()
    with pytest.raises(ValueError, match="temperature must be one of 0.0, 0.3"):
        answered.right(0.123)
    with pytest.raises(ValueError, match="top_k 20 .* needs a prompt that was not recorded"):
        answered.right(0.0, 20)
    with pytest.raises(ValueError, match="top_k 10 .* needs a prompt"):
        answered.right(0.0, 10)
    assert answered.right(0.0, 10, asked=30).shape == (30,)


# ---- figures


def test_the_figures_show_what_they_are_given():
    drawn = figures.prescriptions("temperature", "A title", "temperature", {100: 0.0, 1_000: (0.0, 0.2)}, log_y=False)
    assert repr(drawn) == "Figure: A title"
    labels = {text.get_text() for text in drawn.axes[0].get_legend().get_texts()}
    assert {"formula", "table", "strategy", "example", "measured best"} <= labels
    grid = figures.grid(np.eye(2), (1, 2), (3, 4), "Grid", "rows", "columns", [(1, 3, "best")])
    assert "1.00\nbest" in {text.get_text() for text in grid.axes[0].texts}
    assert "Figure" in repr(figures.cosines(np.ones(3) / 2, np.zeros(5), (0.3,), "Cosines"))


def test_the_widgets_table_has_every_recommendation():
    text = figures.recommended_at(10_000, {"top_k": {100: 1, 6_176: 2}})
    assert "33" in text and "2 (at 6,176)" in text and "316" in text
