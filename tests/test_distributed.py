import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
import torch

from helpers.scaling.distributed import (
    allreduce,
    data,
    figures,
    launch,
    learning,
    measuring,
    model,
    plan,
    recorded,
    sharding,
    training,
)
from helpers.scaling.distributed.__main__ import main
from helpers.scaling.distributed.training import Settings

SCRIPT = "helpers.scaling.distributed.training"


def processes():
    "All that this process has started, but for Python's own tracker of shared resources."
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if child.status() != psutil.STATUS_ZOMBIE and "resource_tracker" not in " ".join(child.cmdline()):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.fixture
def none_left():
    "Whatever a test starts, it has ended when the test is over."
    before = processes()
    yield
    assert [process for process in processes() if process not in before] == []


@pytest.fixture(scope="module")
def small():
    "Real vectors: 600 to train on."
    whole = data.load()
    return data.Data(whole.x[:600], whole.y[:600], whole.held_x, whole.held_y, whole.classes)


@pytest.fixture(scope="module")
def pair():
    with launch.Ranks(2, limit=60) as ranks:
        yield ranks


@pytest.fixture
def file(small, tmp_path):
    path = tmp_path / "texts.npz"
    small.save(path)
    return path


# ---- ranks: what a rank runs must be importable there, so the functions are others' modules'


def test_every_rank_answers_and_is_a_process_of_its_own(pair):
    ids = pair.run(os.getpid)
    assert len(set(ids)) == 2 and os.getpid() not in ids
    assert pair.run(torch.get_num_threads) == [max(1, launch.cores() // 2)] * 2


def test_an_interrupt_ends_the_ranks(none_left, monkeypatch):
    ranks = launch.Ranks(2, limit=30)

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(ranks, "_collected", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ranks.run(os.getpid)
    with pytest.raises(launch.RankError, match="start new ones"):
        ranks.run(os.getpid)


def test_an_error_names_the_rank_and_ends_all(none_left):
    ranks = launch.Ranks(2, limit=30)
    with pytest.raises(launch.RankError, match=r"rank 0: ValueError: way must be one of.*got 'DP'") as caught:
        ranks.run(sharding.held, "DP", 8)
    assert 0 in caught.value.ranks
    with pytest.raises(launch.RankError, match="start new ones"):
        ranks.run(os.getpid)


def test_a_hung_rank_ends_at_the_limit_and_is_named(none_left):
    ranks = launch.Ranks(2, limit=2)
    start = time.monotonic()
    with pytest.raises(launch.RankError, match="rank 1 did not answer within 2 seconds, while rank 0 waited") as caught:
        ranks.run(training.train, data.load(), Settings(), fault="hang:1:0")
    assert caught.value.ranks == (1,)
    assert time.monotonic() - start < 60


def test_a_killed_rank_is_named(none_left):
    with launch.Ranks(2, limit=30) as ranks, pytest.raises(launch.RankError, match="rank 1 ended with exit code -9"):
        ranks.run(training.train, data.load(), Settings(), fault="kill:1:0")


def test_a_port_in_use_picks_another(none_left):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with launch.Ranks(1, port=taken) as ranks:
            assert ranks.port != taken and ranks.run(os.getpid)
    with socket.create_server(("127.0.0.1", 0)) as other:
        free = other.getsockname()[1]
    assert launch.open_store(free).port == free


def test_no_rank_outlives_who_started_it():
    code = ("import time\nfrom helpers.scaling.distributed import launch\n"
            "if __name__ == '__main__':\n    ranks = launch.Ranks(2)\n"
            "    print(*(p.pid for p in ranks._processes), flush=True)\n    time.sleep(60)")  # fmt: skip
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    ids = list(map(int, owner.stdout.readline().split()))
    assert len(ids) == 2 and all(map(psutil.pid_exists, ids))
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    _, left = psutil.wait_procs([psutil.Process(i) for i in ids if psutil.pid_exists(i)], timeout=20)
    assert left == []


@pytest.mark.parametrize(("arguments", "message"), [
    ({"count": 0}, "count must be at least 1 rank, got 0"), ({"limit": 0}, "limit must be above 0 seconds, got 0"),
])  # fmt: skip
def test_ranks_refuse(arguments, message):
    with pytest.raises(ValueError, match=message):
        launch.Ranks(**arguments)


# ---- training


def apart(a, b):
    return (a - b).abs().max().item()


@pytest.mark.parametrize("accumulate", [1, 4])
def test_two_ranks_train_what_one_process_trains(pair, small, accumulate):
    settings = Settings(steps=20, epochs=10, accumulate=accumulate)
    two, one = pair.run(training.train, small, settings), training.train(small, Settings(steps=20, epochs=10))
    assert two[0]["steps"] == one["steps"] == 20
    assert torch.equal(two[0]["weights"], two[1]["weights"])
    assert apart(two[0]["weights"], one["weights"]) < 1e-5 and apart(two[0]["gradient"], one["gradient"]) < 1e-5
    assert one["gradient"].abs().max() > 1e-3


def test_each_rank_reads_its_own_half_in_another_order_each_epoch(pair, small):
    first, second = (each["seen"] for each in pair.run(training.train, small, Settings(epochs=2, global_batch=60)))
    for mine, theirs in zip(first, second):
        assert set(mine).isdisjoint(theirs) and len(set(mine) | set(theirs)) == len(small.x)
    assert first[0] != first[1]


def test_without_a_sampler_each_rank_reads_everything(pair, small):
    first, second = (each["seen"][0] for each in pair.run(training.train, small, Settings(1, 60, sampler=False)))
    assert set(first) == set(second) == set(range(len(small.x)))


def test_dropout_is_another_one_on_each_rank(pair, small):
    same_texts = data.Data(small.x[:1].repeat(64, 0), small.y[:1].repeat(64), small.held_x, small.held_y, small.classes)
    first, second = pair.run(training.train, same_texts, Settings(1, dropout=0.5))
    assert first["losses"] != second["losses"]
    assert torch.equal(first["weights"], second["weights"])


def test_a_global_batch_that_cannot_be_dealt_out_is_refused():
    with pytest.raises(ValueError, match=r"global_batch must be a multiple of ranks × accumulate = 6, got 64"):
        Settings(accumulate=2).micro_batch(3)


def test_training_learns(small):
    losses = training.train(small, Settings(epochs=12))["losses"]
    assert np.mean(losses[-9:]) < 0.6 * np.mean(losses[:9])


def test_a_resumed_training_ends_where_one_without_a_break_does(small, tmp_path):
    path = tmp_path / "run.pt"
    training.train(small, Settings(epochs=2, dropout=0.3), checkpoint=path)
    resumed = training.train(small, Settings(epochs=4, dropout=0.3), checkpoint=path)
    assert resumed["resumed_from"] == 2
    assert torch.equal(resumed["weights"], training.train(small, Settings(epochs=4, dropout=0.3))["weights"])
    assert [each.name for each in tmp_path.iterdir()] == ["run.pt"]
    with pytest.raises(ValueError, match="width is 128, but .*run.pt was saved with 256"):
        training.train(small, Settings(epochs=4, dropout=0.3, width=128), checkpoint=path)


# ---- torchrun


def test_a_killed_rank_is_started_again_and_the_weights_are_the_same(pair, small, file, tmp_path, none_left):
    settings, path = ("--data", file, "--epochs", 3, "--dropout", 0.2), tmp_path / "run.pt"
    broken = launch.torchrun(SCRIPT, *settings, "--checkpoint", path, "--fault", "kill:1:2", restarts=1)
    found, unbroken = json.loads(broken), pair.run(training.train, small, Settings(epochs=3, dropout=0.2))[0]
    assert (found["ranks"], found["resumed_from"], found["steps"]) == (2, 2, unbroken["steps"])
    weights = training.flat(torch.load(path, weights_only=True)["model"].values())
    assert apart(weights, unbroken["weights"]) < 1e-6  # one rank speaks


def test_under_torchrun_a_hung_rank_is_named_by_one_that_waited(file, none_left):
    with pytest.raises(launch.RankError, match="rank 1 has not reached batch 5 within 2 seconds; rank 0") as caught:
        launch.torchrun(SCRIPT, "--data", file, "--limit", 2, "--fault", "hang:1:0")
    assert caught.value.ranks == (1,)


def test_what_does_not_end_is_ended_with_all_that_it_started(file, none_left):
    with pytest.raises(launch.RankError, match="did not end within 5 seconds; rank 0, rank 1 were ended"):
        launch.torchrun(SCRIPT, "--data", file, "--limit", 100, "--fault", "hang:1:0", limit=5)


def test_the_command_refuses_what_cannot_be_dealt_out():
    with pytest.raises(SystemExit, match="error: global_batch must be a multiple"):
        main(["--ranks", "3", "--global-batch", "64"])


# ---- the ring, and what a rank holds


def test_the_ring_is_the_librarys_all_reduce_on_three_ranks():
    with launch.Ranks(3, limit=60) as ranks:
        for length in (1, 2, 1001):
            found = ranks.run(allreduce.compare, length)
            assert max(each["apart"] for each in found) < 1e-5
            assert [each["sum"] for each in found] == pytest.approx([found[0]["sum"]] * 3, abs=1e-4)
            assert sum(each["sent"] for each in found) == pytest.approx(3 * model.bytes_sent(length, 3))


def test_ddp_replicates_and_sharding_halves(pair):
    held = {way: pair.run(sharding.held, way, 256) for way in sharding.WAYS}
    numbers = held["DDP"][0]["numbers"]
    whole = {"weights": 4 * numbers, "gradients": 4 * numbers}
    for rank in range(2):
        one, ddp, views, zero, fsdp = (held[way][rank] for way in sharding.WAYS)
        assert views["weights"] == views["gradients"] == 4 * numbers
        assert {name: ddp[name] for name in whole} == whole == {name: zero[name] for name in whole}
        assert ddp["optimizer"] == one["optimizer"] == pytest.approx(8 * numbers, rel=1e-3)
        assert ddp["same"]
        assert all(fsdp[name] == pytest.approx(4 * numbers / 2, rel=0.05) for name in whole)
        assert fsdp["optimizer"] == pytest.approx(8 * numbers / 2, rel=0.05)
    assert sum(each["optimizer"] for each in held["ZeRO-1"]) == pytest.approx(8 * numbers, rel=1e-3)
    assert held["ZeRO-1"][0]["loss"] == pytest.approx(held["DDP"][0]["loss"], abs=1e-5)
    assert held["FSDP"][0]["loss"] == pytest.approx(held["DDP"][0]["loss"], abs=1e-5)


# ---- time, as a formula


def test_a_step_has_all_its_arms(pair):
    found, nothing = pair.run(measuring.step_seconds, 32, 64, 2)
    assert nothing == {} and found.pop("numbers") == 13_541
    assert found.keys() == {*measuring.ALONE, *measuring.TOGETHER}
    assert all(len(seconds) == 2 and min(seconds) > 0 for seconds in found.values())


@pytest.mark.parametrize("numbers", [100_000, 1_000_000, 20_000_000])
def test_a_width_has_about_so_many_parameters(numbers):
    width = measuring.width_of(numbers)
    assert width**2 + (384 + 5 + 2) * width + 5 == pytest.approx(numbers, rel=0.01)


def test_the_fit_finds_the_costs_that_made_the_times():
    alone, together = model.Cost(1e-4, 2e-9, 4e-11), model.Cost(2e-4, 3e-9, 5e-11, 3e-4, 1e9)
    rows = []
    for n, b in [(1e5, 256), (1e6, 256), (5e6, 256), (5e6, 1024), (1e6, 64)]:
        rows.append(
            {
                "numbers": n,
                "batch": b,
                "share of cores": alone.worker(n, b),
                "share of cores and batch": alone.worker(n, b / 2),
                "compute": together.worker(n, b / 2),
                "optimizer": 0.0,
                "all-reduce": together.all_reduce(n, 2),
                "ranks": together.step(n, b, 2),
            }
        )
    found = model.fit(rows, 2)
    assert np.allclose(np.array([list(vars(c).values())[:3] for c in found]) /
                       np.array([list(vars(c).values())[:3] for c in (alone, together)]), 1, rtol=1e-6)  # fmt: skip
    assert (found[1].latency, found[1].bandwidth) == pytest.approx((3e-4, 1e9))
    assert np.allclose(model.left_out(rows, 2), 1)
    with pytest.raises(ValueError, match="points must be at least 3"):
        model.fit_worker([(1, 2, 3)])


def test_amdahl_and_the_ring_at_their_ends():
    assert model.amdahl(0, 4) == 4 and model.amdahl(1, 4) == 1
    assert model.bytes_sent(10, 1) == 0 and model.bytes_sent(22_713_216, 4) == pytest.approx(136.3e6, rel=1e-3)
    cost = model.Cost(0, 0, 1e-9)
    assert cost.speedup(1e6, 64, 4) == pytest.approx(4) == cost.speedup(1e6, 64, 4, weak=True)
    assert model.needed_share(4, 4) == 0
    with pytest.raises(ValueError, match="speedup must be above 0 and at most 4, the ranks; got 5"):
        model.needed_share(5, 4)
    with pytest.raises(ValueError, match="serial must be a share from 0 to 1, got 2"):
        model.amdahl(2, 4)


def test_a_ratio_is_of_rounds_in_pairs():
    point = {"ranks": [2.0, 4.0, 8.0], "all cores": [1.0, 2.0, 4.0]}
    found = recorded.ratio(point, "all cores")
    assert (found.estimate, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))


def test_figures_say_what_they_show():
    points, rows = recorded.load_steps(), recorded.medians(recorded.load_steps())
    assert figures.sizes(points, 256, "Title").axes[0].get_xlabel() == "parameters (millions)"
    assert "2 ranks" in figures.explored(points, *model.fit(rows, 2), 8, 5, "this machine", 1)[0].get_suptitle()
    made, sentence = figures.explored(points, *model.fit(rows, 2), 8, 5, "NVLink, 100 GB/s", 100)
    assert "predicted, not measured" in made.get_suptitle() and "% of 8" in sentence
    for network in figures.NETWORKS:
        speed = figures.predicted(5e6, *model.fit(rows, 2), 4, 128, network, 10)
        assert 0 < speed <= 4


# ---- plans and learning


def test_a_plan_adds_up():
    made = plan.embedding(1_000_000, rate=100, deadline=1, price=2.0)
    assert made.machines == 3 and made.shards == 100 and made.vectors_gb == pytest.approx(1.536)
    assert made.hours * made.machines >= 1e6 / 100 / 3600 and made.money == 2 * made.hours * made.machines
    for deadline in (0.03, 0.1, 0.25, 1, 8):
        assert plan.embedding(1_000_000, 164, deadline, 1).hours <= deadline
    with pytest.raises(ValueError, match="deadline must be at least the 0.0169377 hours of one shard, got 0.01"):
        plan.embedding(1_000_000, 164, 0.01, 1)
    with pytest.raises(ValueError, match="rate must be above 0, got 0"):
        plan.embedding(1, rate=0, deadline=1, price=1)


def test_the_faster_the_worker_the_worse_it_scales():
    slow, fast = (plan.fine_tuning(rate, 256, 4, 1e10) for rate in (100, 14_200))
    assert 1 < fast < slow < 4
    assert fast < plan.fine_tuning(14_200, 256, 4, 1e10, overlap=True) <= 4


def test_a_larger_global_batch_learns_less_in_as_many_epochs(small):
    found = learning.global_batch(small, (1, 4), batch=16, epochs=30, seeds=range(2))
    assert found.keys() == {(1, "same"), (4, "same"), (4, "scaled")}
    last = {name: curves[:, -1].mean() for name, curves in found.items()}
    assert last[1, "same"] < last[4, "scaled"] + 0.1 < last[4, "same"]
    most = learning.global_batch(small, (1, 4), batch=16, epochs=3, seeds=range(2), tried=(2,))
    assert most[4, "best"][:, -1].mean() <= most[4, "scaled"][:, -1].mean() and (4, "2") not in most


def test_a_power_law_is_fitted_for_each_seed(small):
    found = learning.power_law(small, (50, 100, 200), 400, penalties=(3.0, 10.0), seeds=range(3))
    assert found["losses"].shape == (3, 4) and (np.diff(found["losses"].mean(axis=0)) < 0).all()
    assert found["missed"].estimate == pytest.approx((found["losses"] - found["promised"])[:, -1].mean())
