import functools
import os
import socket
import subprocess
import sys
import textwrap
import types
from pathlib import Path

import numpy as np
import psutil
import pytest
from hyperopt import Trials, fmin, hp, tpe

from helpers.assistant import corpus, models
from helpers.scaling.distributed import cluster

SPACE = {"x": hp.uniform("x", -5, 5), "width": hp.choice("width", (16, 32, 64))}
ROOT = Path(__file__).parents[1]


def objective(x, width, resource=None):
    "A valley whose bottom is seen the better, the more is spent."
    return -((x - 1) ** 2) - abs(width - 32) / 16 - (0 if resource is None else np.cos(7 * x) / resource)


@pytest.fixture(scope="module")
def texts():
    return [text for text in corpus.library_labels().texts[::10] if text.strip()]


@pytest.fixture(scope="module")
def serial_vectors(texts):
    return models.embed(texts, keep=False)


@pytest.fixture(scope="module")
def ray_here():
    "One Ray for most tests: starting it takes longer than what they do with it."
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("RAY_ADDRESS", raising=False)
        with cluster.session(num_cpus=2) as session:
            yield session


def run(code, **environment):
    "Python in a process of its own; returns what it printed, which must be nothing on stderr."
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=170, cwd=ROOT / "tests",
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout


# ---- no cluster: before the tests that share one, since a process can be in one only


def test_an_address_where_nothing_answers_is_named(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ConnectionError, match=f"RAY_ADDRESS is '{address}', and nothing answers.*unset RAY_ADDRESS"):
        cluster.session().__enter__()
    monkeypatch.setenv("RAY_ADDRESS", "my cluster")
    with pytest.raises(ConnectionError, match="RAY_ADDRESS is 'my cluster'.*an address is host:port"):
        cluster.evaluate(objective, [])


def test_what_answers_and_is_no_ray_is_given_up_after_a_while(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(ConnectionError, match=f"RAY_ADDRESS is '{address}', and no Ray cluster answered.*3 s"):
            cluster.session(timeout=3).__enter__()


# ---- texts


def test_vectors_are_the_serial_ones_in_the_order_of_the_texts(ray_here, texts, serial_vectors):
    found = cluster.embed(texts, shard_tokens=1024, progress=False)
    assert np.abs(found.vectors - serial_vectors).max() < 1e-6
    assert len(found.shards) > 3 and (found.attempts == 1).all()
    assert set(found.workers) == set(found.loads) and set(found.loads.values()) == {1}  # one model a process


def test_a_killed_worker_costs_an_attempt_and_no_result(ray_here, texts, serial_vectors, capfd):
    found = cluster.embed(texts, shard_tokens=2048, before=cluster.Killer(shard=1), progress=False)
    assert np.abs(found.vectors - serial_vectors).max() < 1e-6
    assert found.attempts[1] == 2 and found.attempts.sum() == len(found.shards) + 1
    assert capfd.readouterr() == ("", "")


def test_used_up_retries_name_the_shard(ray_here, texts):
    with pytest.raises(RuntimeError, match=r"shard 1 of \d+ \(\d+ texts.*died in each of 2 attempts.*max_retries"):
        cluster.embed(texts, shard_tokens=2048, max_retries=1, before=cluster.Killer(1, times=2), progress=False)


def test_shards_hold_every_text_once_and_at_most_their_tokens():
    lengths = np.random.default_rng(0).integers(3, 200, 500)
    groups = cluster.shards(lengths, 1000)
    assert sorted(np.concatenate(groups)) == list(range(500))
    assert max(lengths[group].sum() for group in groups) <= 1000
    assert [list(group) for group in cluster.shards([5, 3000, 7], 1000)] == [[1], [2, 0]]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"texts": "one text"}, r"texts must be a list.*Write \[text\]"),
        ({"texts": ["a", ""]}, r"texts\[1\] must be a text that is not empty, got ''"),
        ({"texts": ["a"], "shard_tokens": 0}, "shard_tokens must be a whole number of at least 1, got 0"),
        ({"texts": ["a"], "max_retries": -1}, "max_retries must be a whole number of at least 0, got -1"),
        ({"texts": ["a b " * 200], "max_seq_length": 100}, "max_seq_length must be from 402.*got 100.*retrieval.chunk"),
    ],
)
def test_embed_refuses(arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        cluster.embed(**arguments)


def test_no_texts_need_no_cluster():
    assert cluster.embed([]).vectors.shape == (0, 384)


# ---- settings


def test_tasks_score_a_list_as_a_loop_does(ray_here):
    settings = [{"x": x, "width": width} for x in np.linspace(-5, 5, 12) for width in (16, 32)]
    scores = cluster.evaluate(objective, settings, progress=False)
    serial = [objective(**one) for one in settings]
    assert scores.tolist() == serial and scores.argmax() == np.argmax(serial)


def test_an_objective_that_raises_names_its_settings(ray_here):
    with pytest.raises(RuntimeError, match=r"settings 1, \{'x': 0\}: ZeroDivisionError"):
        cluster.evaluate(lambda x: 1 / x, [{"x": 1}, {"x": 0}], progress=False)


def test_an_objective_that_workers_cannot_import_is_refused(ray_here, monkeypatch):
    nowhere = types.ModuleType("nowhere")
    exec("def lost(x): return x", vars(nowhere))
    monkeypatch.setitem(sys.modules, "nowhere", nowhere)
    for call in (
        lambda: cluster.evaluate(nowhere.lost, [{"x": 1}]),
        lambda: cluster.tune(nowhere.lost, {"x": hp.uniform("x", 0, 1)}, 2),
    ):
        with pytest.raises(ValueError, match="objective 'lost' cannot be sent to a worker.*nowhere"):
            call()


class SameSeeds:
    "hyperopt's fmin asks for each trial's seed; HyperOptSearch draws them from numpy's older generator."

    def __init__(self, seed):
        self.integers = np.random.RandomState(seed).randint


def by_hyperopt(trials, generator, startup):
    kept = Trials()
    fmin(
        lambda settings: -objective(**settings), SPACE, partial_tpe(startup), trials, trials=kept, rstate=generator,
        show_progressbar=False, verbose=False,
    )  # fmt: skip
    options = (16, 32, 64)
    return [{"x": t["misc"]["vals"]["x"][0], "width": options[t["misc"]["vals"]["width"][0]]} for t in kept.trials]


def partial_tpe(startup):
    return functools.partial(tpe.suggest, n_startup_jobs=startup, verbose=False)


def test_one_at_a_time_ray_proposes_what_hyperopt_does_given_the_same_seeds(ray_here, capfd):
    found = cluster.tune(objective, SPACE, 12, seed=3, startup=5)
    assert found.settings == by_hyperopt(12, SameSeeds(3), 5)
    assert found.settings != by_hyperopt(12, np.random.default_rng(3), 5)  # the same seed, drawn from otherwise
    serial = cluster.tune_serially(objective, SPACE, 12, seed=3, startup=5)
    assert found.settings == serial.settings and (found.scores == serial.scores).all() and found.best == serial.best
    assert not found.unseen.any()
    assert capfd.readouterr() == ("", "")


def test_asha_stops_what_it_stops_serially_and_compares_equal_resources(ray_here):
    arguments = (objective, SPACE, 12)
    found = cluster.tune(*arguments, seed=1, asha=(1, 9, 3))
    serial = cluster.tune_serially(*arguments, seed=1, asha=(1, 9, 3))
    assert found.settings == serial.settings and (found.resource == serial.resource).all()
    assert found.spent == serial.spent < 12 * (1 + 3 + 9)
    assert set(found.resource) <= {1, 3, 9} and found.resource[0] == 9  # the first has nobody to lose against
    assert found.resource[found.best] == 9


def test_two_at_once_are_proposed_without_seeing_each_other(ray_here):
    found = cluster.tune(objective, SPACE, 8, seed=0, startup=3, concurrency=2)
    assert found.unseen.max() == 1 and len(found.scores) == 8
    assert found.scores.tolist() == [objective(**one) for one in found.settings]


def test_many_at_once_propose_at_random_until_there_are_scores():
    blind = cluster.tune_serially(objective, SPACE, 16, startup=4, at_once=16)
    seeing = cluster.tune_serially(objective, SPACE, 16, startup=4)
    assert blind.unseen.tolist() == list(range(16)) and not seeing.unseen.any()
    assert blind.settings[:4] == seeing.settings[:4] and blind.settings[4:] != seeing.settings[4:]


def test_a_failed_trial_is_kept_with_its_error():
    def fails_on_the_left(x, width):
        return 1 / 0 if x < 0 else x

    found = cluster.tune_serially(fails_on_the_left, SPACE, 10)
    failed = [number for number, one in enumerate(found.settings) if one["x"] < 0]
    assert failed and list(found.errors) == failed and np.isnan(found.scores[failed]).all()
    assert found.settings[found.best]["x"] == max(one["x"] for one in found.settings)
    with pytest.raises(ValueError, match="none of 2 trials has a score; the first failed with: ZeroDivisionError"):
        _ = cluster.tune_serially(lambda x, width: 1 / 0, SPACE, 2).best


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"objective": 3}, "objective must be a function.*got 3"),
        ({"space": {}}, "space must be a dict such as"),
        ({"space": {"x": 5}}, r"space\['x'\] must be a hyperopt expression.*got 5"),
        ({"trials": 0}, "trials must be a whole number of at least 1, got 0"),
        ({"concurrency": 1.5}, "concurrency must be a whole number of at least 1, got 1.5"),
        ({"asha": (9, 3, 3)}, r"asha must be \(least, most, factor\).*got \(9, 3, 3\)"),
    ],
)
def test_tune_refuses(changed, message):
    with pytest.raises((ValueError, TypeError), match=message):
        cluster.tune(**{"objective": objective, "space": SPACE, "trials": 3} | changed)


# ---- the cluster


def test_a_ray_started_here_listens_to_this_machine_alone(ray_here):
    assert not ray_here.joined and ray_here.cpus == 2
    started = [child for child in psutil.Process().children(recursive=True) if cluster._is_ray(cluster._ray(), child)]
    addresses = {c.laddr.ip.removeprefix("::ffff:") for child in started for c in child.net_connections("tcp")}
    assert started and addresses == {"127.0.0.1"}


def test_a_second_session_is_refused(ray_here):
    with pytest.raises(RuntimeError, match="a Ray session is open already"), cluster.session():
        pass


@pytest.mark.parametrize("num_cpus", [0, 1.5, True])
def test_session_refuses(num_cpus):
    with pytest.raises(ValueError, match=f"num_cpus must be a whole number of at least 1, got {num_cpus}"):
        cluster.session(num_cpus).__enter__()


def test_what_was_started_ends_and_leaves_nothing(tmp_path):
    printed = run(
        """
        import os, psutil, signal
        from helpers.scaling.distributed import cluster
        handler, variables = signal.getsignal(signal.SIGTERM), dict(os.environ)
        try:
            with cluster.session(1):
                started = psutil.Process().children(recursive=True)
                print(len(started) > 3, cluster.evaluate(lambda x: x + 1, [{"x": 1}], progress=False))
                raise KeyError("in the middle")
        except KeyError:
            pass
        left = [p for p in started if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
        print(left, os.listdir(os.environ["HOME"]), [f for f in os.listdir(os.environ["TMPDIR"])])
        print(signal.getsignal(signal.SIGTERM) == handler, dict(os.environ) == variables)
        """,
        HOME=str(tmp_path), TMPDIR=str(tmp_path), RAY_ADDRESS="",
    )  # fmt: skip
    assert printed == "True [2.]\n[] [] []\nTrue True\n"


def test_a_cluster_is_joined_and_left_running(tmp_path):
    head = """
        import sys
        from helpers.scaling.distributed import cluster
        with cluster.session(1) as session:
            print(session.address, flush=True)
            sys.stdin.read()
    """
    shared = {"PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 2}
    started = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(head)], env={**os.environ, **shared, "RAY_ADDRESS": ""},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path,
    )  # fmt: skip
    try:
        address = started.stdout.readline().strip()
        processes = [p for p in psutil.Process(started.pid).children() if p.name() in ("gcs_server", "raylet")]
        printed = run(
            """
            from helpers.scaling.distributed import cluster
            with cluster.session(timeout=120) as session:
                print(session.joined, session.address, session.cpus)
                print(cluster.evaluate(lambda x: x + 1, [{"x": 1}, {"x": 2}], progress=False))
            """,
            **shared, RAY_ADDRESS=address,
        )  # fmt: skip
        assert printed == f"True {address} 1\n[2. 3.]\n"
        assert len(processes) == 2 and all(p.is_running() for p in processes) and started.poll() is None
    finally:
        started.communicate(timeout=60)
    assert not psutil.wait_procs(processes, timeout=20)[1]
