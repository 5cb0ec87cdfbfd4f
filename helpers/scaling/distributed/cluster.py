"""Ray: the workers of one machine or of many as one pool.

    session         joins the cluster of RAY_ADDRESS, or starts a small Ray on this machine and ends it
    evaluate        scores a list of settings, one task each
    tune            Ray Tune with hyperopt's TPE, one trial or several at once, with ASHA if wanted
    tune_serially   the same search in this process, what `tune` is compared with
    embed           vectors of many texts, shard by shard; a worker that dies costs a retry
    Killer          kills a worker on purpose, to see that

A function that is called outside a `session` opens one of its own. What a worker calls must be
importable there: on a cluster, this package and its models are installed on every machine.
Source: Moritz et al. 2018, Ray; Liaw et al. 2018, Tune; Li et al. 2020, ASHA.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import uuid
from collections import deque
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from tqdm.auto import tqdm

FAILED = -1e300  # the score of a failed trial: below all others, and finite, so that it has a rank
OBJECT_STORE = 200 * 2**20  # bytes; holds texts and vectors on their way
SHARD_TOKENS = 16_384  # a few seconds of encoding: what one death costs at most
ROOT = Path(__file__).resolve().parents[3]
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what will be the default, without its FutureWarning
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": uuid.uuid4().hex,  # or Ray would write one into the home folder
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # the old way of printing is the one that verbose=0 silences
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
}


# ---- the cluster


@dataclass(frozen=True)
class Session:
    """Where the work goes. address: host:port of the cluster. cpus: of all its machines. joined: not started here."""

    address: str
    cpus: int
    joined: bool


@contextmanager
def session(num_cpus=2, timeout=60):
    """Join the cluster of `RAY_ADDRESS` if that is set; else start Ray here, and end it when the block is left.

    num_cpus: worker processes of a Ray started here, one thread each; a cluster has its own number.
    timeout: seconds that a cluster has to answer. Yields a `Session`.
    Raises ConnectionError if no cluster answers, RuntimeError inside another session, ValueError.
    """
    if isinstance(num_cpus, bool) or not isinstance(num_cpus, int) or num_cpus < 1:
        raise ValueError(f"num_cpus must be a whole number of at least 1, got {num_cpus!r}")
    if not timeout > 0:
        raise ValueError(f"timeout must be above 0 seconds, got {timeout!r}")
    address = os.environ.get("RAY_ADDRESS", "").strip()
    ray = _ray()
    if ray.is_initialized():
        raise RuntimeError("a Ray session is open already: use it, or leave it first (ray.shutdown())")
    loopback = not address or _on_loopback(ray, address)
    with _environment(local=not address), _sigterm_kept(), _quiet(loopback):
        if address:
            _reach(address, timeout, loopback)
        folder = None if address else tempfile.mkdtemp(prefix="ray-", dir=_short_folder())
        before = set(psutil.Process().children())
        started = []
        try:
            _init(ray, address, folder, num_cpus)
            started = [child for child in psutil.Process().children() if child not in before and _is_ray(ray, child)]
            cpus = int(ray.cluster_resources().get("CPU", 0))
            yield Session(ray.get_runtime_context().gcs_address, cpus, bool(address))
        finally:
            started += [process for parent in started for process in _children(parent)]
            ray.shutdown()
            _end(started)
            if folder:
                shutil.rmtree(folder, ignore_errors=True)


def _init(ray, address, folder, num_cpus):
    quiet = {"log_to_driver": False, "configure_logging": False}
    # what can be imported here can be imported by workers on this machine, such as the objective's module
    paths = [str(ROOT), *(os.path.abspath(path) for path in sys.path)]
    code = ray.job_config.JobConfig(_py_driver_sys_path=list(dict.fromkeys(paths)))
    if address:
        ray.init(address=address, job_config=code, **quiet)
    else:
        ray.init(
            address="local", num_cpus=num_cpus, num_gpus=0, object_store_memory=OBJECT_STORE, job_config=code,
            include_dashboard=False, _temp_dir=folder, _node_ip_address="127.0.0.1", **quiet,
        )  # fmt: skip


def _reach(address, timeout, loopback):
    "Is there a cluster? Asked from a process of its own, since a failed ray.init may hang, or end its process."
    mend = (
        "Start a cluster with `ray start --head` and take the address that it prints, on a machine that is part of "
        "it, or unset RAY_ADDRESS to start Ray on this machine"
    )
    host, port = _host_and_port(address)
    try:
        if host and port:
            socket.create_connection((host, port), timeout=min(timeout, 10)).close()
        elif address != "auto":
            raise OSError("an address is host:port, such as 10.0.0.1:6379")
        joining = "import sys, ray; ray.init(sys.argv[1], log_to_driver=False); ray.shutdown()"
        network = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0" if loopback else "1"}
        subprocess.run(
            [sys.executable, "-c", joining, address], timeout=timeout, check=True, capture_output=True, text=True,
            env=os.environ | network,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ConnectionError(
            f"RAY_ADDRESS is {address!r}, and no Ray cluster answered there within {timeout:g} s. {mend}"
        ) from None
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or [f"exit status {error.returncode}"])[-1]
        raise ConnectionError(f"RAY_ADDRESS is {address!r}, but joining failed: {reason}. {mend}") from None
    except (OSError, OverflowError) as error:
        raise ConnectionError(f"RAY_ADDRESS is {address!r}, and nothing answers there: {error}. {mend}") from None


def _host_and_port(address):
    '(host, port), or ("", 0) for what is no such thing, such as auto.'
    host, _, port = address.removeprefix("ray://").rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isdecimal() else ("", 0)


def _on_loopback(ray, address):
    "Does a cluster listen on loopback alone? Ray itself takes 127.0.0.1 for this machine's address in the network."
    host, port = _host_and_port(address)
    if host not in ("127.0.0.1", "localhost", "::1"):
        return False
    try:
        socket.create_connection((ray.util.get_node_ip_address(), port), timeout=2).close()
    except (OSError, OverflowError):
        return True
    return False


def _ray():
    "Ray, imported when it is needed, and without a word."
    import logging

    import ray

    logging.getLogger("ray").setLevel(logging.CRITICAL)
    return ray


@contextmanager
def _environment(local):
    "Ray's settings, as environment variables for as long as a session lasts; what the learner has set stays."
    wanted = {name: value for name, value in QUIET.items() if local or "AUTH" not in name}
    before = dict(os.environ)
    wanted = {name: value for name, value in wanted.items() if name not in before}
    wanted["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [before.get("PYTHONPATH")])])
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name in [*wanted, "RAY_AUTH_MODE"]:
            if name in before:
                os.environ[name] = before[name]
            else:
                os.environ.pop(name, None)


@contextmanager
def _quiet(loopback):
    """What no argument of `ray.init` says. A Ray started here listens on loopback only; deaths are not printed.

    Ray reads its environment once, when it is imported, and keeps the token of an earlier session.
    """
    from ray._private import ray_constants, ray_logging
    from ray._raylet import AuthenticationTokenLoader, Config

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
    printed, network = ray_logging.stdout_deduplicator.skip_re, ray_constants.ENABLE_RAY_CLUSTER
    ray_logging.stdout_deduplicator.skip_re = re.compile("")  # skips every line
    ray_constants.ENABLE_RAY_CLUSTER = network and not loopback
    try:
        yield
    finally:
        ray_logging.stdout_deduplicator.skip_re, ray_constants.ENABLE_RAY_CLUSTER = printed, network


@contextmanager
def _sigterm_kept():
    "Ray replaces what this process does when it is asked to end."
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _connected():
    return nullcontext() if _ray().is_initialized() else session()


def _short_folder():
    "Ray's sockets lie in its folder, and the path of a socket has at most about 100 characters."
    return "/tmp" if os.name == "posix" and os.access("/tmp", os.W_OK) else None


def _is_ray(ray, process):
    try:
        return any(str(Path(ray.__file__).parent) in part for part in process.cmdline())
    except psutil.Error:
        return False


def _children(process):
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _end(processes, patience=10):
    "Wait for processes to end; kill those that do not."
    for process in psutil.wait_procs(processes, patience)[1]:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, patience)


# ---- settings


@dataclass(frozen=True)
class Tuned:
    """A finished search, trial by trial in the order in which they were proposed.

    settings: list of dicts. scores: float array (trials,), NaN if a trial failed. errors: {trial: why}.
    resource: float array (trials,), what each was given before it was stopped; None without ASHA.
    spent: what all of it took, in the unit of the resource. unseen: int array (trials,), earlier
    trials whose score was not known yet when this one was proposed.
    """

    settings: list
    scores: np.ndarray
    errors: dict
    unseen: np.ndarray
    resource: np.ndarray | None = None
    spent: float | None = None

    @property
    def best(self):
        """Number of the trial with the highest score, the first of equals, among those with the most resource."""
        full = np.ones(len(self.scores), bool) if self.resource is None else self.resource == self.resource.max()
        scores = np.where(full, self.scores, np.nan)
        if np.isnan(scores).all():
            raise ValueError(f"none of {len(scores)} trials has a score; the first failed with: {self.errors.get(0)}")
        return int(np.nanargmax(scores))


def evaluate(objective, settings, max_retries=3, progress=True):
    """Scores of a list of settings, a Ray task each: float array (settings,), in the order of the list.

    objective: function of the settings as keywords; it is sent to the workers, once. max_retries: how
    often a task starts again if its worker dies. An error that the objective raises is raised here.
    """
    settings = list(settings)
    _check_count("max_retries", max_retries, 0)
    with _connected():
        ray = _ray()
        kept = ray.put(objective)
        _check_travels(objective)
        task = ray.remote(_score).options(max_retries=max_retries)
        calls = [(f"settings {number}, {one}", (kept, one)) for number, one in enumerate(settings)]
        return np.array(_all(ray, task, calls, max_retries, "evaluating", progress), dtype=float)


def tune(objective, space, trials, seed=0, concurrency=1, startup=20, asha=None, max_retries=3):
    """Ray Tune: hyperopt's TPE proposes settings, workers score them, higher is better. Returns a `Tuned`.

    objective: function of the space's names as keywords. space: {name: dimension}, a hyperopt
        expression or anything with a method `hyperopt(name)` that makes one.
    concurrency: trials at once. With more than one, settings are proposed before all earlier scores
        are known, and the order in which they arrive decides what is proposed.
    startup: trials that are drawn at random first.
    asha: None, or (least, most, factor): the objective also takes `resource`, and is called with
        least, factor x least, ... up to most. After each, a trial that is not among the best 1/factor of
        those that have come so far is stopped. Like lesson 01's halving, each call starts afresh.
    max_retries: how often a trial starts again if its worker dies. An objective that raises is a failed trial.
    """
    _check_search(objective, space, trials, startup)
    _check_count("concurrency", concurrency, 1)
    _check_count("max_retries", max_retries, 0)
    rungs = None if asha is None else _rungs(*asha)
    with _connected(), tempfile.TemporaryDirectory(prefix="tune-") as folder:
        _ray()
        from ray import tune as ray_tune
        from ray.tune.schedulers import ASHAScheduler

        class Silent(ray_tune.ProgressReporter):
            "In a notebook, even verbose=0 leaves an empty output."

            def should_report(self, trials, done=False):
                return False

        _check_travels(objective)
        searcher = _searcher(space, seed, startup)
        scheduler = None
        if rungs:
            scheduler = ASHAScheduler("resource", max_t=rungs[-1], grace_period=rungs[0], reduction_factor=asha[2])
        ray_tune.Tuner(
            ray_tune.with_parameters(_trial, objective=objective, rungs=rungs),
            tune_config=ray_tune.TuneConfig(
                metric="score", mode="max", search_alg=searcher, scheduler=scheduler, num_samples=trials,
                max_concurrent_trials=concurrency, reuse_actors=True,
            ),
            run_config=ray_tune.RunConfig(
                storage_path=folder, verbose=0, progress_reporter=Silent(),
                failure_config=ray_tune.FailureConfig(max_failures=max_retries),
            ),
        ).fit()  # fmt: skip
        return searcher.tuned(rungs)


def tune_serially(objective, space, trials, seed=0, startup=20, asha=None, at_once=1):
    """The search of `tune` with concurrency=1, in this process and without a cluster. Returns a `Tuned`.

    at_once: settings that are proposed before any of them is scored; what concurrency costs, without its chance.
    """
    _check_search(objective, space, trials, startup)
    _check_count("at_once", at_once, 1)
    rungs = None if asha is None else _rungs(*asha)
    reached = {resource: [] for resource in rungs or ()}
    searcher = _searcher(space, seed, startup)
    for first in range(0, trials, at_once):
        proposed = {str(n): searcher.suggest(str(n)) for n in range(first, min(first + at_once, trials))}
        for name, settings in proposed.items():
            if rungs is None:
                result = _scored(objective, settings)
            for resource, scores in reached.items():
                result = _scored(objective, settings, resource=resource)
                behind = len(scores) > 0 and result["score"] < np.percentile(scores, 100 - 100 / asha[2])
                scores.append(result["score"])
                if behind or result["error"]:
                    break
            searcher.on_trial_complete(name, result)
    return searcher.tuned(rungs)


def _searcher(space, seed, startup):
    _ray()
    from ray.tune.search.hyperopt import HyperOptSearch

    class Recording(HyperOptSearch):
        "HyperOptSearch that keeps what it proposed and what came back."

        def suggest(self, trial_id):
            unseen = len(self._live_trial_mapping)
            proposed = super().suggest(trial_id)
            settings = {name: _plain(proposed[name]) for name in space}
            self.record[trial_id] = {"settings": settings, "unseen": unseen, "results": []}
            return settings

        def on_trial_result(self, trial_id, result):
            self.record[trial_id]["results"].append(result)
            super().on_trial_result(trial_id, result)

        def on_trial_complete(self, trial_id, result=None, error=False):
            if result and result not in self.record[trial_id]["results"]:
                self.record[trial_id]["results"].append(result)
            super().on_trial_complete(trial_id, result, error)

        def tuned(self, rungs):
            kept = list(self.record.values())
            last = [(one["results"] or [{"error": "its worker died"}])[-1] for one in kept]
            errors = {number: result["error"] for number, result in enumerate(last) if result.get("error")}
            scores = [np.nan if number in errors else result["score"] for number, result in enumerate(last)]
            given = np.array([result.get("resource", 0) for result in last], float) if rungs else None
            spent = sum(sum(r for r in rungs if r <= most) for most in given) if rungs else None
            unseen = np.array([one["unseen"] for one in kept])
            return Tuned([one["settings"] for one in kept], np.array(scores, float), errors, unseen, given, spent)

    labelled = {name: d.hyperopt(name) if hasattr(d, "hyperopt") else d for name, d in space.items()}
    searcher = Recording(labelled, metric="score", mode="max", n_initial_points=startup, random_state_seed=seed)
    searcher.record = {}
    return searcher


def _trial(settings, objective, rungs):
    "One trial in a worker of Ray Tune: scored once, or once a rung."
    from ray import tune as ray_tune

    if rungs is None:
        ray_tune.report(_scored(objective, settings))
        return
    for resource in rungs:
        result = _scored(objective, settings, resource=resource)
        ray_tune.report(result)
        if result["error"]:
            return


def _scored(objective, settings, **extra):
    try:
        score, error = float(objective(**settings, **extra)), ""
        if not np.isfinite(score):
            score, error = FAILED, f"ValueError: the objective returned {score}, which cannot be compared"
    except Exception as failure:
        score, error = FAILED, f"{type(failure).__name__}: {failure}"
    return {"score": score, "error": error, **extra}


def _score(objective, settings):
    return float(objective(**settings))


def _check_travels(objective):
    "Can a worker unpack the objective? Ray Tune would try again and again."
    ray = _ray()
    received = ray.remote(_received)
    try:
        ray.get(received.remote(ray.put(objective)))
    except (ray.exceptions.RayError, TypeError, AttributeError) as error:
        why = str(getattr(error, "cause", None) or error).strip().splitlines()
        raise ValueError(
            f"objective {getattr(objective, '__qualname__', objective)!r} cannot be sent to a worker: "
            f"{why[-1] if why else type(error).__name__}. Define it in the notebook, or in a module that workers can "
            "import, and give it data that can be pickled"
        ) from error


def _received(objective):
    return None


def _rungs(least, most, factor):
    if not 0 < least < most or factor < 2:
        raise ValueError(
            "asha must be (least, most, factor) with 0 < least < most and a factor of at least 2, such as (5, 45, 3); "
            f"got {(least, most, factor)}"
        )
    rungs = [least]
    while rungs[-1] * factor < most:
        rungs.append(rungs[-1] * factor)
    return [*rungs, most]


def _check_search(objective, space, trials, startup):
    if not callable(objective):
        raise TypeError(f"objective must be a function of the space's names, got {objective!r}")
    if not isinstance(space, dict) or not space:
        raise ValueError(f"space must be a dict such as {{'dropout': hp.uniform('dropout', 0, 1)}}, got {space!r}")
    from hyperopt.pyll import Apply

    for name, dimension in space.items():
        if not hasattr(dimension, "hyperopt") and not isinstance(dimension, Apply):
            raise ValueError(
                f"space[{name!r}] must be a hyperopt expression or have a method hyperopt(name), got {dimension!r}"
            )
    _check_count("trials", trials, 1)
    _check_count("startup", startup, 1)


def _check_count(name, value, least):
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value


# ---- texts


@dataclass(frozen=True)
class Embedded:
    """Vectors, and how they came about.

    vectors: float32 (texts, 384), in the order of the texts. shards: which texts went together, a list
    of int arrays. attempts: int array (shards,), 1 where no worker died. workers: process id of the
    worker that did each shard. loads: {process id: how often it loaded the model}.
    """

    vectors: np.ndarray
    shards: list
    attempts: np.ndarray
    workers: list
    loads: dict


def embed(texts, shard_tokens=SHARD_TOKENS, max_seq_length=256, max_retries=3, before=None, progress=True):
    """Unit vectors of many texts, each shard a Ray task on one CPU. Returns an `Embedded`.

    shard_tokens: word pieces in a shard; the smaller, the less a death costs and the more is sent about.
    max_retries: how often a shard starts again, on another worker, if its worker dies.
    before: None, or a function that a worker calls with the number of a shard, from 0, and of the attempt,
        from 1, before it starts (see `Killer`).
    Raises ValueError for a text that is too long, RuntimeError naming the shard if its retries are used up.
    """
    from ...assistant import models  # here and in the workers that embed: PyTorch is slow to load for the others

    texts = _checked_texts(texts)
    _check_count("shard_tokens", shard_tokens, 1)
    _check_count("max_retries", max_retries, 0)
    if not texts:
        return Embedded(np.zeros((0, 384), np.float32), [], np.zeros(0, int), [], {})
    lengths = np.array(models.token_counts(texts))
    if not lengths.max() <= max_seq_length <= 512:
        raise ValueError(
            f"max_seq_length must be from {lengths.max()}, the tokens of the longest text, to 512, the encoder's "
            f"positions; got {max_seq_length}. Split long texts with retrieval.chunk"
        )
    groups = shards(lengths, shard_tokens)
    with _connected():
        ray = _ray()
        task = ray.remote(_embed_shard).options(max_retries=max_retries)
        calls = [
            (
                f"shard {number} of {len(groups)} ({len(rows)} texts, {lengths[rows].sum():,} tokens)",
                ([texts[row] for row in rows], max_seq_length, number, before),
            )
            for number, rows in enumerate(groups)
        ]
        done = _all(ray, task, calls, max_retries, "embedding", progress)
    vectors, loads = np.empty((len(texts), 384), np.float32), {}
    parts, attempts, workers, loaded = zip(*done)
    for rows, part, worker, times in zip(groups, parts, workers, loaded, strict=True):
        vectors[rows] = part
        loads[worker] = max(loads.get(worker, 0), times)
    return Embedded(vectors, groups, np.array(attempts), list(workers), loads)


def shards(lengths, shard_tokens=SHARD_TOKENS):
    """Which texts go together: list of int arrays of positions, longest texts first, at most `shard_tokens` each.

    lengths: tokens of each text. A text that is longer than a shard goes alone. Texts of like length
    need little padding, and with the slowest shards first, the workers end at about the same time.
    """
    groups, room = [], 0
    for row in np.argsort(-np.asarray(lengths), kind="stable"):
        if not groups or lengths[row] > room:
            groups.append([])
            room = shard_tokens
        groups[-1].append(row)
        room -= lengths[row]
    return [np.array(group) for group in groups]


@dataclass(frozen=True)
class Killer:
    """Kills the worker of one shard as it starts: `embed(texts, before=Killer(shard=2))`.

    times: in how many attempts, from the first; with more than `max_retries`, the shard cannot be done.
    """

    shard: int = 0
    times: int = 1

    def __post_init__(self):
        _check_count("shard", self.shard, 0)
        _check_count("times", self.times, 1)

    def __call__(self, shard, attempt):
        if shard == self.shard and attempt <= self.times:
            psutil.Process().kill()  # SIGKILL: no handler and no clean-up, as when memory runs out


def _embed_shard(texts, max_seq_length, number, before):
    "In a worker, whose first shard loads the model."
    from ...assistant import models

    attempt = 1 + _ray()._private.worker.global_worker.core_worker.get_current_task_attempt_number()
    if before is not None:
        before(number, attempt)
    vectors = models.embed(texts, max_seq_length, keep=False)
    return vectors, attempt, os.getpid(), models.encoder.cache_info().misses


def _checked_texts(texts):
    if isinstance(texts, str):
        raise TypeError(f"texts must be a list of texts, got one text: {texts[:40]!r}. Write [text]")
    texts = list(texts)
    for number, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"texts[{number}] must be a text that is not empty, got {text!r}: leave it out")
    return texts


# ---- many tasks


def _all(ray, task, calls, max_retries, doing, progress):
    """Results of many tasks, in the order of `calls`, a list of (name, arguments).

    Only a few more than there are CPUs are sent at a time, so that what waits does not fill the object store.
    """
    limit = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
    waiting, running, results = deque(enumerate(calls)), {}, [None] * len(calls)
    with tqdm(total=len(calls), desc=doing, unit="task", leave=False, disable=not progress) as bar:
        while waiting or running:
            while waiting and len(running) < limit:
                number, (_, arguments) = waiting.popleft()
                running[task.remote(*arguments)] = number
            for reference in ray.wait(list(running))[0]:
                number = running.pop(reference)
                try:
                    results[number] = ray.get(reference)
                except ray.exceptions.RayError as error:
                    for other in running:
                        ray.cancel(other, force=True)
                    raise _failure(ray, error, calls[number][0], max_retries) from error
                bar.update()
    return results


def _failure(ray, error, name, max_retries):
    if isinstance(error, ray.exceptions.RayTaskError):
        return RuntimeError(f"{name}: {error.cause!r}")
    return RuntimeError(
        f"{name}: its worker died in each of {max_retries + 1} attempts ({type(error).__name__}). "
        "Is there enough memory? Take fewer workers or smaller tasks, or raise max_retries"
    )
