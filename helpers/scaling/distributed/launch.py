"""Start ranks, hear from them, and end them all at a time limit.

`Ranks` keeps processes that run one function after another, as a notebook wants it. `torchrun` starts a script as
on a cluster. Both end with an error that names the rank, and leave no process behind.
"""

import os
import pickle
import subprocess
import sys
import threading
import time
import traceback
from contextlib import suppress
from datetime import timedelta
from multiprocessing import connection, get_context

import psutil
import torch
import torch.distributed as dist

PORT = 29500  # where torchrun's ranks meet, unless told otherwise
GRACE = 2.0  # seconds that ranks get to end by themselves
LATE = 15.0  # seconds after the limit in which a rank may still say that it waited: its own limit began when it had to


class RankError(RuntimeError):
    """A rank failed, died or did not answer in time. `ranks`: which."""

    def __init__(self, message, ranks):
        super().__init__(message)
        self.ranks = tuple(ranks)

    def _render_traceback_(self):  # IPython then shows the message alone
        return [f"RankError: {self}"]


def cores():
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_store(port=PORT):
    """A `TCPStore`, by which ranks find each other; on any free port if another program has `port`."""
    settings = {"is_master": True, "wait_for_workers": False}
    try:
        return dist.TCPStore("127.0.0.1", port, **settings)
    except dist.DistNetworkError:
        return dist.TCPStore("127.0.0.1", 0, **settings)


class Ranks:
    """Processes in one group, each with its rank. Use it in a `with` statement, or call `close()`.

    count: how many. limit: seconds that a call may take, and a rank wait for the others; a little more, so that it can
    say that it waited. threads: of each rank; its share of the cores if left out.
    port: where they meet; see `open_store`. After an error all are ended, since the others of a group cannot go on.
    """

    def __init__(self, count=2, limit=60.0, threads=None, port=PORT):
        if count < 1:
            raise ValueError(f"count must be at least 1 rank, got {count}")
        if limit <= 0:
            raise ValueError(f"limit must be above 0 seconds, got {limit}")
        self.limit, context = limit, get_context("spawn")
        self._store = open_store(port)
        self.port = self._store.port
        self._pipes, self._processes = [], []
        for rank in range(count):
            ours, theirs = context.Pipe()
            given = (rank, count, self.port, limit, threads or max(1, cores() // count), theirs)
            process = context.Process(target=_serve, args=given, name=f"rank {rank}", daemon=True)
            process.start()
            theirs.close()  # so that a rank's death closes the pipe
            self._pipes.append(ours)
            self._processes.append(process)
        self._answers(max(limit, 120.0))  # every rank says that it has joined

    def __len__(self):
        return len(self._pipes)

    def run(self, function, *arguments, **settings):
        """`function(*arguments, **settings)` on every rank, at once. Returns a list: what each rank returned.

        function: defined in a module, so that a rank can import it. Raises RankError, and ends all ranks, if one
        raises, dies, or does not answer within the limit.
        """
        if not self._pipes:
            raise RankError("these ranks have ended: start new ones", ())
        message = pickle.dumps((function, arguments, settings))
        for pipe in self._pipes:  # from threads, since a rank that does not read would block this one for ever
            threading.Thread(target=_send, args=(pipe, message), daemon=True).start()
        return self._answers(self.limit)

    def _answers(self, limit):
        "One message from each rank, in their order. Who interrupts it ends the ranks, or the next call would read it."
        try:
            return self._collected(limit)
        except BaseException:
            self.close(patience=0)
            raise

    def _collected(self, limit):
        until, answers, waiting = time.monotonic() + limit + LATE, {}, dict(enumerate(self._pipes))
        while waiting and time.monotonic() < until:
            ready = connection.wait(list(waiting.values()), timeout=max(0.0, until - time.monotonic()))
            for rank in [rank for rank, pipe in waiting.items() if pipe in ready]:
                try:
                    answers[rank] = waiting.pop(rank).recv()
                except (EOFError, OSError):
                    answers[rank] = ("died", None)
                    self._processes[rank].join(GRACE)  # its pipe closes a moment before its exit code is there
                if answers[rank][0] != "done":  # the others would only wait for it, or it has waited long enough
                    until = min(until, time.monotonic() + GRACE / 2)
        if waiting or any(kind != "done" for kind, _ in answers.values()):
            raise _error(answers, sorted(waiting), limit, [process.exitcode for process in self._processes])
        return [answers[rank][1] for rank in sorted(answers)]

    def close(self, patience=GRACE):
        """End every rank: kindly, and after `patience` seconds surely."""
        for pipe in self._pipes:
            pipe.close()
        self._pipes = []
        for process in self._processes:
            process.join(patience)
            if process.is_alive():
                process.kill()
                process.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _send(pipe, message):
    with suppress(OSError):  # a dead rank is named by who waits for its answer
        pipe.send_bytes(message)


def all_here(store, rank, ranks, patience=60):
    """Wait until every rank has started. What they may wait for later can be far less than a slow start.

    Raises TimeoutError naming the ranks that have not.
    """
    store.set(f"rank {rank} is here", "yes")
    try:
        store.wait([f"rank {other} is here" for other in range(ranks)], timedelta(seconds=patience))
    except dist.DistStoreError:
        late = [f"rank {other}" for other in range(ranks) if not store.check([f"rank {other} is here"])]
        raise TimeoutError(f"{', '.join(late)} did not start within {patience:g} seconds") from None


def _serve(rank, ranks, port, limit, threads, pipe):
    "A rank's life: join the group, run what is asked for, until the pipe closes."
    torch.set_num_threads(threads)
    store = dist.PrefixStore("ranks", dist.TCPStore("127.0.0.1", port, is_master=False))
    all_here(store, rank, ranks)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=ranks, timeout=timedelta(seconds=limit))
    pipe.send(("done", None))
    with suppress(EOFError, OSError, KeyboardInterrupt):  # the caller has closed the pipe, or is gone
        while True:
            try:
                function, arguments, settings = pickle.loads(pipe.recv_bytes())
                answer = ("done", function(*arguments, **settings))
            except (EOFError, OSError):
                raise
            except Exception as error:
                waited = isinstance(error, RuntimeError) and "imed out" in str(error)
                answer = ("waited" if waited else "failed", _last_line(error))
            pipe.send(answer)
    with suppress(RuntimeError):
        dist.destroy_process_group()


def _last_line(error):
    return traceback.format_exception_only(error)[-1].strip()


def _error(answers, silent, limit, exit_codes):
    "What to say of the first cause: a rank that failed, died, or is silent while the others wait for it."
    failed = {rank: text for rank, (kind, text) in answers.items() if kind == "failed"}
    died = [rank for rank, (kind, _) in answers.items() if kind == "died"]
    waited = [rank for rank, (kind, _) in answers.items() if kind == "waited"]
    if died:
        codes = ", ".join(f"rank {rank} ended with exit code {exit_codes[rank]}" for rank in died)
        return RankError(f"{codes}; all ranks were ended", died)
    if failed:
        return RankError("; ".join(f"rank {rank}: {text}" for rank, text in failed.items()), failed)
    names = ", ".join(f"rank {rank}" for rank in silent) or "no rank in particular"
    others = f", while {', '.join(f'rank {rank}' for rank in waited)} waited" if waited else ""
    return RankError(f"{names} did not answer within {limit:g} seconds{others}; all ranks were ended", silent)


def torchrun(module, *arguments, ranks=2, limit=120.0, restarts=0, threads=None, show=False):
    """Run `python -m module` on several ranks as torchrun does, and return what they print: a text.

    arguments: of the script, as texts. limit: seconds for all of it. restarts: how often all ranks may start again
    after one has failed. show: let the ranks' standard error through, for a progress bar in a terminal.
    The ranks meet at a free port (`--standalone`). Raises RankError, naming the rank where a script says which
    (a line `error: rank 1 …`), and leaves no process behind.
    """
    if ranks < 1:
        raise ValueError(f"ranks must be at least 1, got {ranks}")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}",
               f"--max-restarts={restarts}", "--monitor-interval=0.1", "-m", module, *map(str, arguments)]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": str(threads or max(1, cores() // ranks))}
    streams = {"stdout": subprocess.PIPE, "stderr": None if show else subprocess.PIPE}
    process = subprocess.Popen(command, env=environment, text=True, **streams)
    try:
        printed, errors = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        everyone = range(ranks)
        names = ", ".join(f"rank {rank}" for rank in everyone)
        raise RankError(f"{module} did not end within {limit:g} seconds; {names} were ended", everyone) from None
    finally:
        end_tree(process)
    if process.returncode:
        raise _script_error(errors or "", process.returncode)
    return printed


def _script_error(errors, code):
    said = [line for line in errors.splitlines() if line.startswith("error: ")]
    words = said[0].split() if said else []
    named = [int(words[i + 1]) for i, word in enumerate(words[:-1]) if word == "rank" and words[i + 1].isdigit()]
    return RankError(said[0].removeprefix("error: ") if said else f"exit code {code}: {errors[-2000:]}", named[:1])


def end_tree(process):
    """Kill a `subprocess.Popen` and everything that it has started; torchrun's ranks are in sessions of their own."""
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.kill()
    process.kill()
    process.wait()
