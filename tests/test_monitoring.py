import json
import math
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import softmax

from helpers import evaluation
from helpers.course import results
from helpers.monitoring import (
    GuideMonitor,
    OptimizationMonitor,
    __main__,
    alarms,
    calibration,
    day,
    drift,
    serving,
    watched,
)
from helpers.monitoring.log import DamagedLog, read_log

EPOCH = {"train_loss": 0.5, "val_loss": 0.7, "train_acc": 0.9, "val_acc": 0.6}


@pytest.fixture
def logged(tmp_path):
    """A log with three epochs and settings."""
    path = tmp_path / "run.jsonl"
    with OptimizationMonitor(path, {"size": 300}) as monitor:
        for epoch in range(3):
            monitor.log_epoch(EPOCH | {"val_f1": epoch / 10})
    return path


# ---- the log


def test_a_log_can_be_read_and_continued(logged):
    with OptimizationMonitor(logged, {"size": 300}) as monitor:
        monitor.log_epoch(EPOCH | {"val_f1": 0.3}, epoch=4)
    with OptimizationMonitor(logged) as monitor:
        assert monitor.settings == {"size": 300}
        assert monitor.history["val_f1"].tolist() == [0.0, 0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    ("metrics", "epoch", "message"),
    [
        (EPOCH, None, "metrics of epoch 4: val_f1 missing"),
        (EPOCH | {"val_f1": 0.1, "cost": 1}, None, "cost new"),
        ({"val_f1": 0.1}, None, "train_loss, val_loss, train_acc, val_acc missing"),
        (EPOCH | {"val_f1": 0.1}, 3, "epoch 3 is in the log already: the next one is 4"),
        (EPOCH | {"val_f1": 0.1}, 9, "epoch 9 is out of order: the next one is 4"),
        (EPOCH | {"val_f1": 0.1, "val_acc": 93.0}, None, "share from 0 to 1, got 93.0: divide a percentage by 100"),
        (EPOCH | {"val_f1": "good"}, None, "must be numbers"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(logged, metrics, epoch, message):
    before = logged.read_bytes()
    with OptimizationMonitor(logged) as monitor, pytest.raises((ValueError, TypeError), match=message):
        monitor.log_epoch(metrics, epoch)
    assert logged.read_bytes() == before


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_written_and_then_reported(logged, value):
    with OptimizationMonitor(logged) as monitor:
        with pytest.raises(ValueError, match="epoch 4: val_loss is (nan|inf). It is in the log"):
            monitor.log_epoch(EPOCH | {"val_f1": 0.3, "val_loss": value})
        monitor.figure()  # can still be drawn
    with OptimizationMonitor(logged) as monitor:
        np.testing.assert_equal(monitor.history["val_loss"][-1], value)
        monitor.log_epoch(EPOCH | {"val_f1": 0.3})


def test_a_killed_process_loses_no_epoch_that_it_confirmed(tmp_path):
    path = tmp_path / "killed.jsonl"
    confirmed = watched.kill_while_logging(path, after=20)
    with OptimizationMonitor(path, {"run": "killed"}) as monitor:
        assert monitor.epochs >= confirmed >= 20
        assert monitor.history["train_loss"].tolist() == [1 / epoch for epoch in range(1, monitor.epochs + 1)]


def test_a_log_cut_anywhere_in_its_last_line_keeps_the_rest_and_sets_the_end_aside(logged):
    whole = logged.read_bytes()
    last = len(whole.splitlines(keepends=True)[-1])
    aside = logged.with_name("run.jsonl.damaged")
    for cut in range(1, last):
        logged.write_bytes(whole[:-cut])
        with pytest.warns(DamagedLog, match="2 whole epochs are kept"), OptimizationMonitor(logged) as monitor:
            assert monitor.epochs == 2
            monitor.log_epoch(EPOCH | {"val_f1": 0.2})
        assert logged.read_bytes() == whole
        assert aside.read_bytes() == whole[-last:-cut] + b"\n"
        aside.unlink()


def test_a_last_line_of_rubbish_is_set_aside_and_an_empty_file_is_a_new_log(logged):
    logged.write_bytes(logged.read_bytes() + b'{"epoch": 4, "train\0\0\0\n')
    with pytest.warns(DamagedLog), OptimizationMonitor(logged) as monitor:
        assert monitor.epochs == 3
    logged.write_bytes(b"")
    with OptimizationMonitor(logged, {"size": 1}) as monitor:
        assert monitor.epochs == 0


def test_damage_before_the_end_is_an_error_that_names_the_line_and_changes_nothing(logged):
    lines = logged.read_bytes().splitlines(keepends=True)
    logged.write_bytes(lines[0] + b"rubbish\n" + b"".join(lines[2:]))
    before = logged.read_bytes()
    with pytest.raises(ValueError, match="line 2 of .* is damaged"):
        OptimizationMonitor(logged)
    assert logged.read_bytes() == before
    logged.write_bytes(lines[0] + lines[2] + lines[3])
    with pytest.raises(ValueError, match=r"line 2 of .* \(epoch 2 is out of order\)"):
        read_log(logged)


def test_a_log_of_another_run_or_of_another_writer_is_refused(logged):
    with pytest.raises(ValueError, match="another run .size was 300 and is 100."):
        OptimizationMonitor(logged, {"size": 100})
    with OptimizationMonitor(logged), pytest.raises(RuntimeError, match="another process is writing"):
        OptimizationMonitor(logged)
    with OptimizationMonitor(logged) as monitor:
        pass
    with pytest.raises(ValueError, match="is closed"):
        monitor.log_epoch(EPOCH)


def test_tensorboard_reads_the_same_curves(logged, tmp_path, monkeypatch):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with OptimizationMonitor(logged) as monitor:
        monitor.to_tensorboard(tmp_path / "events")
        found = accumulator.EventAccumulator(str(tmp_path / "events")).Reload()
        scalars = [(event.step, round(event.value, 6)) for event in found.Scalars("val_f1")]
        assert scalars == [(1, 0.0), (2, 0.1), (3, 0.2)]
        monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
        with pytest.raises(ImportError, match="pip install tensorboard"):
            monitor.to_tensorboard(tmp_path / "none")


def test_the_live_figure_follows_the_run(tmp_path):
    with OptimizationMonitor(tmp_path / "run.jsonl") as monitor:
        (shown,) = monitor.live().children
        monitor._drawn = -math.inf  # as if it had been drawn long ago
        monitor.log_epoch(EPOCH)
        assert shown.outputs[0]["data"]["text/plain"] == "Figure: Epoch 1"


def test_the_guides_monitor_misaligns_and_fails_on_a_new_name():
    guides = GuideMonitor()
    guides.log_epoch({"train_acc": 0.9})
    assert len(guides.metrics["val_acc"]) != len(guides.metrics["train_acc"])
    with pytest.raises(KeyError):
        guides.log_epoch({"val_f1": 0.9})


def test_the_command_trains_shows_a_table_and_goes_on_where_its_log_ends(tmp_path, capsys):
    arguments = ["--size", "60", "--log", str(tmp_path / "run.jsonl")]
    __main__.main([*arguments, "--epochs", "2"])
    first = capsys.readouterr().out.splitlines()
    __main__.main([*arguments, "--epochs", "3"])
    second = capsys.readouterr().out.splitlines()
    assert len(first) == 3 and len(second) == 4 and second[1].endswith("from the log")
    assert second[1].split()[:6] == first[1].split()[:6]
    with pytest.raises(SystemExit):
        __main__.main([*arguments, "--noise", "0.4"])
    assert "the log of another run (noise was 0.2 and is 0.4)" in capsys.readouterr().err


# ---- alarms


@pytest.fixture(scope="module")
def texts():
    return alarms.load_texts()


def test_monitor_judge_and_pool_share_no_class_or_module(texts):
    parts = [set(texts.groups[rows]) for rows in (texts.pool, texts.monitor, texts.judge)]
    assert sum(map(len, parts)) == len(set.union(*parts))
    assert len(texts.pool) + len(texts.monitor) + len(texts.judge) == len(texts.labels)


def test_an_alarm_is_scored_against_the_truth():
    ringing, true = np.array([1, 1, 0, 0, 1], bool), np.array([1, 0, 0, 1, 1], bool)
    said = {name: value.estimate for name, value in alarms.scored(ringing, true).items()}
    assert said == {"rings": 3 / 5, "false_alarms": 1 / 2, "misses": 1 / 3, "right": pytest.approx(2 / 3)}
    assert "misses" not in alarms.scored(ringing, np.zeros(5, bool))


def test_a_gap_can_rank_runs_within_each_data_set_and_not_across_them():
    gaps = np.concatenate([np.arange(20), 10 + np.arange(20)])
    fallen = np.tile(np.arange(20) >= 10, 2)
    table = pd.DataFrame({"noise": [0.0] * 20 + [0.4] * 20, "size": 300, "gap": gaps, "drop": fallen * 1.0})
    pooled, within = alarms.ranking(table, fallen)
    assert within["gap"].tolist() == [1, 1] and pooled["checkpoint"] == 1 > pooled["gap"] > 0.5
    right = alarms.right_by_noise(table, {"gap": gaps > 14}, fallen)
    assert right.loc["gap"].tolist() == [1.0, pytest.approx(10 / 15)]


def test_a_run_whose_checkpoint_is_better_is_seen_and_a_constant_has_no_gap(texts):
    (row,) = alarms.train_and_judge(texts, 300, [0.4], "nothing", [7])
    assert row["checkpoint"] > row["last"] and row["drop"][0] > 0
    constant = alarms.model_gaps(texts, {"constant": alarms.EVERYDAY["constant"]}, 300, range(5))["constant"]
    assert constant.mean(axis=0) == pytest.approx([0.2, 0.2], abs=0.002)


def test_a_temperature_is_found_again_and_is_scikit_learns():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 4))
    labels = np.array([rng.choice(4, p=p) for p in softmax(logits, axis=1)])
    temperature = calibration.grid_temperature(3 * logits, labels)
    assert temperature == pytest.approx(3, abs=0.3)
    scaled = softmax(3 * logits / temperature, axis=1)
    assert np.allclose(scaled, calibration.sklearn_scaled(3 * logits, labels, 3 * logits), atol=5e-3)
    ours = evaluation.calibration_error(scaled, labels)
    assert ours == pytest.approx(calibration.sklearn_calibration_error(scaled, labels))
    assert ours < evaluation.calibration_error(softmax(3 * logits, axis=1), labels)


# ---- drift


def test_mmd_is_what_its_double_sum_says():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(6, 3)), rng.normal(1, 1, size=(9, 3))

    def k(u, v):
        return np.mean([[math.exp(-((p - q) ** 2).sum() / (2 * sigma**2)) for q in v] for p in u])

    both = np.concatenate([a, b])
    sigma = np.sqrt(np.median([((p - q) ** 2).sum() for i, p in enumerate(both) for q in both[:i]]))
    assert drift.mmd_test(a, b)[0] == pytest.approx(k(a, a) + k(b, b) - 2 * k(a, b), abs=1e-6)


@pytest.mark.parametrize("test", [drift.mmd_test, drift.classifier_test])
def test_a_two_sample_test_keeps_its_level_and_sees_a_shift(test):
    rng, level = np.random.default_rng(1), 0.2
    null = [test(*rng.normal(size=(2, 30, 4)), seed=i)[1] <= level for i in range(200)]
    assert stats.binomtest(sum(null), 200, level).pvalue > 0.001
    assert test(rng.normal(size=(40, 4)), rng.normal(2, 1, size=(40, 4)))[1] < 0.001 + 1e-9


def test_whole_sessions_are_relabeled_where_requests_are_not_independent():
    rng, by_request, by_session = np.random.default_rng(2), [], []
    users = np.repeat(np.arange(16), 5)
    for i in range(60):
        rows = np.repeat(rng.normal(size=(16, 4)), 5, axis=0) + 0.1 * rng.normal(size=(80, 4))
        by_request.append(drift.mmd_test(rows[:40], rows[40:], 199, i)[1] <= 0.05)
        by_session.append(drift.mmd_test(rows[:40], rows[40:], 199, i, users)[1] <= 0.05)
    assert np.mean(by_request) > 0.5 and np.mean(by_session) < 0.2


@pytest.mark.parametrize(
    ("reference", "window", "message"),
    [
        (np.zeros((2, 3)), np.ones((9, 3)), "reference must be at least 4 rows"),
        (np.zeros((9, 3)), np.full((9, 3), np.nan), "window contains numbers that are not finite"),
        (np.zeros((9, 3)), np.ones((9, 2)), "reference has 3 dimensions and window 2"),
        (np.zeros((9, 3)), np.zeros((9, 3)), "are all rows of x the same"),
    ],
)
def test_samples_that_cannot_be_compared_are_refused(reference, window, message):
    with pytest.raises(ValueError, match=message):
        drift.mmd_test(reference, window)


def test_too_few_relabelings_are_refused():
    with pytest.raises(ValueError, match="p could not even reach 0.05"):
        drift.mmd_test(np.eye(5), np.eye(5), permutations=10)


# ---- serving


@pytest.mark.parametrize(("share", "least"), [(0.5, 6), (0.95, 72), (0.99, 368)])
def test_a_percentile_has_two_ends_from_that_many_requests_on(share, least):
    assert serving.requests_needed(share) == least
    values = np.arange(least, dtype=float)
    assert serving.percentile_interval(values, share).high == least - 1
    assert math.isinf(serving.percentile_interval(values[1:], share).high)


def test_a_percentiles_interval_holds_it_as_often_as_it_says():
    rng, truth = np.random.default_rng(0), stats.lognorm(1).ppf(0.9)
    drawn = [serving.percentile_interval(rng.lognormal(size=100), 0.9) for _ in range(500)]
    assert np.mean([found.low <= truth <= found.high for found in drawn]) > 0.93


def test_prometheus_reads_what_was_counted():
    seconds = np.linspace(0.0002, 0.06, 200)
    hit, empty = np.arange(200) % 4 > 0, np.arange(200) % 10 == 0
    page = serving.exposition(seconds, hit, empty, 0.44)
    found = serving.samples(page)
    assert found["search_requests_total", (("cache", "hit"),)] == 150
    assert found["search_empty_total", (("cache", "miss"),)] == (empty & ~hit).sum()
    assert found["golden_recall_at_10", ()] == 0.44
    assert serving.histogram_quantile(0.5, page, "search_seconds") == pytest.approx(np.median(seconds), rel=0.2)
    assert serving.histogram_quantile(1, page, "search_seconds") == 0.1
    with pytest.raises(ValueError, match="no histogram 'minutes'"):
        serving.histogram_quantile(0.5, page, "minutes")


@given(st.floats(0.001, 0.5), st.integers(10, 500), st.sampled_from([0.1, 1.0, 30.0]))
def test_an_alert_stays_within_its_budget_and_is_the_most_sensitive_that_does(normal, requests, budget):
    alert = serving.rate_alert(normal, requests, budget=budget)
    assert alert.false_alarms <= budget * (1 + 1e-6)
    assert 720 * stats.binom(requests, normal).sf(alert.count - 2) > budget * (1 - 1e-6)
    assert alert.rings([alert.count - 1, alert.count]).tolist() == [False, True]


# ---- the day


def test_the_incident_is_in_the_cache_and_the_golden_set_goes_around_it():
    calm, hurt = (day.replay(scenario, range(14, 15)) for scenario in ("nothing", "old cache"))
    assert hurt["empty of hits"][0] > 0.3 > 0.1 > hurt["empty of misses"][0] == calm["empty of misses"][0]
    assert hurt["golden recall"] == calm["golden recall"] and hurt["cache hits"] == calm["cache hits"]
    assert hurt["drift"][0] <= 0.001 and hurt["drift of the texts"] == calm["drift of the texts"]
    assert day.replay("lost documents", range(14, 15))["golden recall"] < calm["golden recall"]


def test_an_unknown_scenario_and_a_day_that_begins_too_late_are_refused():
    with pytest.raises(ValueError, match="scenario must be one of nothing, new library"):
        day.replay("fire")
    with pytest.raises(ValueError, match="hours must begin between 0 and 14"):
        day.replay("nothing", range(15, 20))


def test_no_alarm_rings_on_the_recorded_quiet_day():
    days = results.load("08_monitoring", "day").values
    normal = days["nothing"]
    empties, misses = (
        serving.rate_alert(np.mean(rate), drift.WINDOW)
        for rate in (normal["empty"], 1 - np.array(normal["cache hits"]))
    )
    assert set(day.ringing(normal, empties, misses).values()) == {0}
    assert day.ringing(days["old cache"], empties, misses)["empty results"] == 10


def test_the_command_explains_itself():
    run = subprocess.run(
        [sys.executable, "-m", "helpers.monitoring", "--help"], capture_output=True, text=True, env=os.environ
    )
    assert run.returncode == 0 and "--tensorboard" in run.stdout and json.dumps(run.stderr) == '""'
