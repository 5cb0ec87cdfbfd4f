"""Heads over embeddings: a run is the same alone and among others, and torch would do the same."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from helpers import training
from helpers.assistant import corpus, models
from helpers.training import EarlyStopper, Head, draw_training_sets, fit

SEEDS = [3, 1, 4]
SHORT = {"epochs": 4, "batch_size": 25, "learning_rate": 3e-3}


@pytest.fixture(scope="module")
def texts():
    "Real vectors and labels, a few hundred to train on and a hundred to hold out."
    labelled = corpus.library_labels()
    vectors, labels = models.embed(labelled.texts), np.array(labelled.labels)
    return (vectors[:500], labels[:500]), (vectors[500:600], labels[500:600])


@pytest.fixture(scope="module")
def sets(texts):
    return draw_training_sets(*texts[0], 60, SEEDS)


PER_RUN = {
    "weight_decay": [0.0, 0.5, 0.1],
    "learning_rate": [1e-3, 3e-3, 1e-2],
    "dropout": [0.0, 0.3, 0.8],
    "l1": [0.0, 1e-3, 1e-4],
    "label_smoothing": [0.2, 0.0, 0.1],
}


@pytest.mark.parametrize("optimizer", training.OPTIMIZERS)
def test_a_run_among_others_equals_the_same_run_alone(texts, sets, optimizer):
    together = fit(Head(16), sets, texts[1], 5, SEEDS, **{**SHORT, **PER_RUN, "optimizer": optimizer})
    for run, seed in enumerate(SEEDS):
        own = {name: rates[run] for name, rates in PER_RUN.items()}
        alone_set = (sets[0][run : run + 1], sets[1][run : run + 1])
        alone = fit(Head(16), alone_set, texts[1], 5, [seed], **{**SHORT, **own, "optimizer": optimizer})
        for curve, same in zip(vars(together.history).values(), vars(alone.history).values(), strict=True):
            np.testing.assert_allclose(curve[run], same[0], atol=1e-5)


def test_a_fit_equals_a_plain_torch_loop(texts, sets):
    "Same starting weights, same batches, torch.nn and torch.optim doing the rest."
    x, y = (torch.as_tensor(part[0]) for part in sets)
    generator = torch.Generator().manual_seed(SEEDS[0])
    (hidden, hidden_bias), (out, out_bias) = training._layers(Head(16), 384, 5, [generator])
    net = nn.Sequential(nn.Linear(384, 16), nn.ReLU(), nn.Linear(16, 5))
    with torch.no_grad():
        for layer, weight, bias in ((net[0], hidden, hidden_bias), (net[2], out, out_bias)):
            layer.weight.copy_(weight[0].T)
            layer.bias.copy_(bias[0, 0])
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.1)
    for _ in range(4):
        for batch in torch.randperm(len(y), generator=generator).split(25):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()
            optimizer.step()
    ours = fit(Head(16), (sets[0][:1], sets[1][:1]), texts[1], 5, SEEDS[:1], **SHORT, weight_decay=0.1)
    expected = torch.softmax(net(torch.as_tensor(texts[1][0])), dim=1).detach().numpy()
    np.testing.assert_allclose(ours.probabilities(texts[1][0])[0], expected, atol=1e-5)


def test_training_loss_falls_and_beats_chance_on_real_text(texts, sets):
    history = fit(Head(64), sets, texts[1], 5, SEEDS, epochs=20, learning_rate=3e-3).history
    assert (history.train_loss[:, -1] < history.train_loss[:, 0]).all()
    assert history.held_out_accuracy[:, -1].mean() > 0.35


def test_dropout_is_off_when_a_head_is_measured(texts, sets):
    fitted = fit(Head(64), sets, texts[1], 5, SEEDS, **SHORT, dropout=0.8)
    probabilities = fitted.probabilities(texts[1][0])
    np.testing.assert_array_equal(probabilities, fitted.probabilities(texts[1][0]))
    loss = -np.log(probabilities[:, np.arange(100), texts[1][1]]).mean(axis=1)
    np.testing.assert_allclose(loss, fitted.history.held_out_loss[:, -1], atol=1e-5)


def test_dropout_keeps_the_mean_of_a_unit():
    layers = [(torch.eye(8)[None], torch.zeros(1, 1, 8)), (torch.eye(8)[None], torch.zeros(1, 1, 8))]
    x, keep = torch.ones(1, 20_000, 8), torch.tensor([[[0.7]]])
    dropped = training._forward(layers, x, keep, [torch.Generator().manual_seed(0)])
    assert set(dropped.unique().tolist()) == {0.0, float(np.float32(1) / np.float32(0.7))}
    assert float(dropped.mean()) == pytest.approx(1, abs=0.01)


def test_early_stopping_gives_back_the_best_weights(texts, sets):
    stopper = EarlyStopper(patience=3)
    fitted = fit(Head(64), sets, texts[1], 5, SEEDS, epochs=60, learning_rate=1e-2, early_stopping=stopper)
    assert fitted.history.held_out_loss.shape[1] < 60
    best = np.array([curve[epoch] for curve, epoch in zip(fitted.history.held_out_loss, fitted.epochs, strict=True)])
    loss = -np.log(fitted.probabilities(texts[1][0])[:, np.arange(100), texts[1][1]]).mean(axis=1)
    np.testing.assert_allclose(loss, best, atol=1e-5)
    assert all("no improvement since epoch" in reason for reason in fitted.reasons)
    assert stopper.epoch == -1, "the stopper that was handed in is a pattern, not a state"


def test_without_restoring_the_last_weights_stay(texts, sets):
    stopper = EarlyStopper(patience=3, restore_best=False)
    fitted = fit(Head(64), sets, texts[1], 5, SEEDS, epochs=60, learning_rate=1e-2, early_stopping=stopper)
    restored = fit(Head(64), sets, texts[1], 5, SEEDS, epochs=60, learning_rate=1e-2, early_stopping=EarlyStopper(3))
    assert (fitted.epochs == restored.epochs + 3).all()


def test_patience_counts_checks_without_a_new_best():
    stopper = EarlyStopper(patience=2)
    assert [stopper.step(loss) for loss in (1.0, 0.9, 0.95, 0.91)] == [False, False, False, True]
    assert (stopper.best, stopper.best_epoch, stopper.reason) == (0.9, 1, "no improvement since epoch 1")


def test_slow_steady_improvement_goes_on_and_is_not_stopped_by_an_unreached_min_delta():
    losses = [0.5 - 0.00015 * epoch for epoch in range(200)]
    stopper = EarlyStopper(patience=5)
    assert not any(stopper.step(loss) for loss in losses)
    impatient = EarlyStopper(patience=5, min_delta=0.001)
    assert any(impatient.step(loss) for loss in losses)


def test_a_loss_that_is_no_number_stops_with_its_reason():
    stopper = EarlyStopper()
    assert not stopper.step(1.0)
    assert stopper.step(math.nan)
    assert stopper.reason == "the loss of epoch 1 is not a number"


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=30), st.floats(0.01, 100))
def test_a_relative_threshold_does_not_care_about_the_unit_of_the_loss(losses, scale):
    one, other = (EarlyStopper(3, 0.1, relative=True) for _ in range(2))
    for loss in losses:
        improvement = 1 - loss / one.best if one.best < math.inf else 1
        if abs(improvement - 0.1) < 1e-6:
            return  # rounding decides
        if one.step(loss) != other.step(loss * scale):
            raise AssertionError
        assert one.best_epoch == other.best_epoch


@pytest.mark.parametrize("noise", [0.0, 0.2, 0.4, 1.0])
def test_noise_replaces_exactly_that_share_of_labels(texts, noise):
    clean, noisy = (draw_training_sets(*texts[0], 200, SEEDS, noise=share) for share in (0.0, noise))
    np.testing.assert_array_equal(clean[0], noisy[0])
    assert ((clean[1] != noisy[1]).mean(axis=1) == noise).all()
    assert noisy[1].min() >= 0
    assert noisy[1].max() < 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1, got 1.0"),
        ({"weight_decay": -0.1}, "weight_decay must be at least 0, got -0.1"),
        ({"learning_rate": 0}, "learning_rate must be above 0, got 0"),
        ({"l1": [0.1, 0.2]}, r"l1 must be a number or one for each of 3 runs, got shape \(2,\)"),
        ({"optimizer": "lion"}, "optimizer must be one of adamw, adam, sgd; got 'lion'"),
        ({"classes": 1}, "classes must be at least 2"),
        ({"classes": 3}, "labels of train must be from 0 to 2"),
    ],
)
def test_wrong_settings_are_named(texts, sets, change, message):
    with pytest.raises(ValueError, match=message):
        fit(**{"head": Head(4), "train": sets, "held_out": texts[1], "classes": 5, "seeds": SEEDS, **change})


def test_wrong_data_is_named(texts, sets):
    x, y = sets
    for train, held_out, message in (
        ((x[0], y), texts[1], "train must be x"),
        ((x[:, :0], y[:, :0]), texts[1], "train must be x"),
        ((x, np.zeros_like(y)), texts[1], "all labels of train are 0"),
        ((np.full_like(x, np.nan), y), texts[1], "train contains vectors that are not finite"),
        (sets, (texts[1][0][:, :10], texts[1][1]), "held_out must be x"),
    ):
        with pytest.raises(ValueError, match=message):
            fit(Head(4), train, held_out, 5, SEEDS, epochs=1)
    with pytest.raises(ValueError, match="size must be from 1 to 500"):
        draw_training_sets(*texts[0], 501, SEEDS)
    with pytest.raises(ValueError, match="noise must be a share"):
        draw_training_sets(*texts[0], 10, SEEDS, noise=1.5)
    with pytest.raises(ValueError, match="patience must be at least 1"):
        EarlyStopper(patience=0)
    with pytest.raises(ValueError, match="width must be at least 1"):
        Head(width=0)
