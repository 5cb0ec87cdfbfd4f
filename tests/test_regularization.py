import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from helpers import regularization as reg
from helpers import training


@pytest.fixture(scope="module")
def splits():
    return reg.load_splits()


# ---- by hand


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.9])
def test_inverted_dropout_equals_torch(rate):
    x = torch.randn(50, 40)
    torch.manual_seed(1)
    ours = reg.inverted_dropout(x, rate)
    torch.manual_seed(1)
    assert torch.allclose(ours, torch.nn.functional.dropout(x, rate), atol=1e-6)


def test_inverted_dropout_keeps_the_mean():
    assert reg.inverted_dropout(torch.ones(1000, 1000), 0.7).mean() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("rate", [1.0, 1.5, -0.1])
def test_a_dropout_rate_that_is_no_share_is_refused(rate):
    with pytest.raises(ValueError, match=f"rate must be at least 0 and below 1, got {rate}"):
        reg.inverted_dropout(torch.ones(3), rate)


def test_l2_step_equals_torch_sgd():
    weight, gradient = torch.randn(9, requires_grad=True), torch.randn(9)
    ours = reg.l2_step(weight.detach().clone(), gradient, 0.1, 0.3)
    weight.grad = gradient
    torch.optim.SGD([weight], lr=0.1, weight_decay=0.3).step()
    assert torch.allclose(ours, weight.detach(), atol=1e-6)


@pytest.mark.parametrize(("optimizer", "decoupled"), [(torch.optim.Adam, False), (torch.optim.AdamW, True)])
def test_adam_step_equals_torch(optimizer, decoupled):
    theirs = torch.randn(30, requires_grad=True)
    ours, moments = theirs.detach().clone(), reg.Moments(torch.zeros(30), torch.zeros(30))
    stepper = optimizer([theirs], lr=0.02, weight_decay=0.5)
    for _ in range(50):
        theirs.grad = torch.randn(30)
        stepper.step()
        ours, moments = reg.adam_step(ours, theirs.grad, moments, 0.02, 0.5, decoupled)
    assert torch.allclose(ours, theirs.detach(), atol=1e-6)


# ---- early stopping


def test_the_guides_stopper_fails_where_the_lesson_says():
    slow = 0.5 - 0.00015 * np.arange(3000)
    assert reg.stops_at(reg.GuideEarlyStopper(), slow) == 5
    assert reg.stops_at(training.EarlyStopper(), slow) is None
    assert reg.stops_at(training.EarlyStopper(5, min_delta=1e-4, relative=True), slow) is None
    blind, careful = reg.GuideEarlyStopper(), training.EarlyStopper()
    assert reg.stops_at(blind, [float("nan")] * 20) == 4 and blind.best == float("inf")
    assert reg.stops_at(careful, [float("nan")] * 20) == 0 and "not a number" in careful.reason


def test_the_guides_stopper_depends_on_the_unit_of_the_loss():
    falling = np.linspace(1, 0.5, 50)
    assert reg.stops_at(reg.GuideEarlyStopper(), falling) is None
    assert reg.stops_at(reg.GuideEarlyStopper(), falling / 100) == 5
    relative = training.EarlyStopper(5, min_delta=0.001, relative=True)
    assert reg.stops_at(relative, falling / 100) == reg.stops_at(relative.fresh(), falling) is None


def test_both_stoppers_wait_out_their_patience():
    flat = [1.0] * 20
    assert reg.stops_at(reg.GuideEarlyStopper(patience=5), flat) == 5
    assert reg.stops_at(training.EarlyStopper(patience=5), flat) == 5


# ---- the data


def test_splits_share_no_group_and_miss_no_text(splits):
    test = splits.test.open("to test the splits")
    parts = [splits.pool, splits.validation, np.array(test)]
    assert sorted(np.concatenate(parts)) == list(range(len(splits.labels)))
    groups = [set(splits.groups[part]) for part in parts]
    assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
    for part in parts:  # roughly balanced
        assert np.bincount(splits.labels[part], minlength=splits.classes).min() > 0.12 * len(part)


def test_a_training_set_comes_from_the_pool_alone(splits):
    x, y = splits.draw(50, [3])
    pool = splits.vectors[splits.pool]
    for vector, label in zip(x[0], y[0], strict=True):
        match = (pool == vector).all(axis=1)
        assert label in splits.labels[splits.pool][match]


def test_small_training_sets_get_as_many_steps(splits, monkeypatch):
    seen = []
    monkeypatch.setattr(training, "fit", lambda *a, **settings: seen.append(settings["batch_size"]))
    for size in (100, 300, 7):
        splits.fit(size, [0])
    assert seen == [5, 15, 1]


def test_as_module_equals_the_fit(splits):
    fit = splits.fit(60, [0, 1], epochs=2, dropout=0.5)
    x = splits.vectors[:20]
    for run in (0, 1):
        module = reg.as_module(fit, run, dropout=0.5)
        with torch.no_grad():
            off = torch.softmax(module.eval()(torch.tensor(x)), dim=1).numpy()
            on = torch.softmax(module.train()(torch.tensor(x)), dim=1).numpy()
        np.testing.assert_allclose(off, fit.probabilities(x)[run], atol=1e-6)
        assert np.abs(on - off).max() > 1e-3


# ---- least squares


def test_least_squares_equals_scikit_learn():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 60)), rng.integers(0, 3, 40)
    theirs = Ridge(alpha=0.7, fit_intercept=False).fit(x, np.eye(3)[y]).coef_.T
    np.testing.assert_allclose(reg.least_squares(x, y, 3, ridge=0.7), theirs, atol=1e-6)
    smallest = np.linalg.pinv(x) @ np.eye(3)[y]  # of all exact solutions, the one of least norm
    np.testing.assert_allclose(reg.least_squares(x, y, 3), smallest, atol=1e-6)


def test_a_negative_ridge_is_refused():
    with pytest.raises(ValueError, match="ridge must be at least 0, got -1"):
        reg.least_squares(np.ones((3, 2)), [0, 1, 0], 2, ridge=-1)


def test_double_descent_has_a_score_for_every_seed(splits):
    found = reg.double_descent(splits, (50, 380), (0.1, 1.0), seeds=range(2))
    assert found["least squares"].shape == found["ridge"].shape == (2, 2)
    assert found["least squares"][1].mean() < found["ridge"][1].mean() - 0.2


# ---- the comparison


def test_the_setting_with_the_lowest_validation_loss_is_chosen(splits, monkeypatch):
    monkeypatch.setitem(
        reg.TECHNIQUES, "AdamW", [{"weight_decay": 300.0}, {"weight_decay": 0.1}, {"weight_decay": 30.0}]
    )
    rows = list(reg.tune(splits, 60, 0.0, range(2), techniques=("nothing", "AdamW")))
    assert [row.technique for row in rows] == ["nothing", "AdamW", reg.TWICE_THE_DATA]
    assert rows[1].settings == {"weight_decay": 0.1} and np.argmin(rows[1].path) == 1
    assert splits.test.openings == [] or "to test the splits" in splits.test.openings[-1]


def test_twice_the_data_needs_a_pool_of_that_size(splits):
    rows = list(reg.tune(splits, len(splits.pool) - 1, 0.0, [0], techniques=()))
    assert rows == []


def test_an_unknown_technique_is_named(splits):
    with pytest.raises(ValueError, match="techniques must be among nothing, AdamW.*got magic"):
        list(reg.tune(splits, 60, 0.0, [0], techniques=("magic",)))


def test_every_searched_technique_has_the_same_budget():
    searched = [settings for name, settings in reg.TECHNIQUES.items() if name not in ("nothing", "as the guide has it")]
    assert {len(settings) for settings in searched} == {5}


def test_evaluate_scores_every_run(splits):
    fit = splits.fit(60, [0, 1], epochs=3)
    x, y = splits.rows(splits.validation)
    right, losses, calibration = reg.evaluate(fit, x, y)
    assert right.shape == losses.shape == (2, len(y)) and calibration.shape == (2,)
    np.testing.assert_allclose(right.mean(axis=1), fit.history.held_out_accuracy[:, -1], atol=1e-6)
    np.testing.assert_allclose(losses.mean(axis=1), fit.history.held_out_loss[:, -1], atol=1e-5)


def test_settings_are_described_in_words():
    assert reg.described({"optimizer": "adam", "weight_decay": 0.01}) == "optimizer adam, weight decay 0.01"
    assert reg.described({"early_stopping": training.EarlyStopper(3)}) == "patience 3"
    assert reg.described({}) == "–"


def test_the_terminal_prints_the_comparison_and_keeps_the_test_set_closed(capsys, monkeypatch):
    monkeypatch.setattr(reg, "TECHNIQUES", {"nothing": [{}], "dropout": [{"dropout": 0.5}]})
    monkeypatch.setattr(reg.tune, "__defaults__", (("nothing", "dropout"), False))
    reg.main(["--size", "60", "--seeds", "2"])
    printed = capsys.readouterr().out
    assert "nothing" in printed and "dropout 0.5" in printed and reg.TWICE_THE_DATA in printed
    assert "opened" not in printed
    reg.main(["--size", "60", "--seeds", "2", "--open-test"])
    assert "the test set has now been opened once: from the terminal" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "99999"], "size must be from 1 to"),
        (["--noise", "2"], "noise must be a share"),
        (["--seeds", "0"], "--seeds must be at least 1"),
    ],
)
def test_the_terminal_refuses_what_cannot_be(arguments, message, capsys):
    with pytest.raises(SystemExit):
        reg.main(arguments)
    assert message in capsys.readouterr().err


def test_stopping_is_told_from_whole_curves(splits):
    history = splits.fit(60, [0, 1, 2], noise=0.4).history
    told = reg.stopping(history, (2, 1000))
    stopped = splits.fit(60, [0, 1, 2], noise=0.4, early_stopping=training.EarlyStopper(2))
    rows = np.arange(3)
    np.testing.assert_allclose(told[2]["restored"], history.held_out_accuracy[rows, stopped.epochs])
    assert told[1000]["stops after"].tolist() == [30, 30, 30] and not told[1000]["premature"].any()
    np.testing.assert_allclose(told[1000]["last"], history.held_out_accuracy[:, -1])
