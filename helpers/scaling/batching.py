"""Lesson 05, first half: how many texts a second the encoder does, and what waiting costs.

`encode` is one quick path through the same weights: tokenize once, sort by length, fill batches up to a
number of tokens, and compute in bfloat16 where the processor does that in hardware.
`python -m helpers.scaling.batching` prints what each of these steps is worth on this machine.
"""

import argparse
import copy
import json
import math
import os
import queue
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import psutil
import torch
from tqdm.auto import tqdm

from .. import baseline, evaluation
from ..assistant import cache, corpus, models
from ..course.results import recorded

LESSON = "05_batching_and_caching"
TOKEN_BUDGET = 2048
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
LENGTHS = {"short": (16, 32), "long": (96, 160)}  # in tokens, ends included
DTYPES = ("auto", "float32", "bfloat16")


# ---- the quick path


def encode(texts, token_budget=TOKEN_BUDGET, dtype="auto", max_seq_length=256):
    """Unit vectors of texts: float32 (texts, 384), the same as the encoder's own up to rounding.

    token_budget: tokens in one forward pass, padding included; a longer text goes alone. dtype:
    "float32", "bfloat16", or "auto" for bfloat16 where `has_bfloat16()`. A text longer than
    max_seq_length is cut, as the encoder cuts it. Raises ValueError for an empty batch or text.
    """
    texts = checked_texts(texts)
    if token_budget < 1:
        raise ValueError(f"token_budget must be at least 1, got {token_budget}")
    ids = models.encoder().tokenizer(texts, truncation=True, max_length=max_seq_length, verbose=False)["input_ids"]
    lengths = np.array([len(one) for one in ids])
    vectors, network = np.empty((len(texts), 384), np.float32), _network(_chosen(dtype))
    groups = batches(lengths, token_budget=token_budget)
    for rows in tqdm(groups, "encoding", unit="batch", disable=len(groups) < 100, leave=False):
        vectors[rows] = _forward(network, [ids[row] for row in rows])
    return vectors


def plain(texts, **settings):
    """What the guide calls: `SentenceTransformer.encode`, with its defaults unless `settings` say otherwise."""
    return models.encoder().encode(checked_texts(texts), show_progress_bar=False, **settings)


def has_bfloat16():
    """Does this processor multiply bfloat16 matrices in hardware? Elsewhere it would be slower than float32."""
    found = torch.cpu.get_capabilities()
    return any(found.get(name, False) for name in ("amx_bf16", "avx512_bf16", "bf16", "arm_bf16"))


def batches(lengths, batch_size=None, token_budget=None, by_length=True):
    """Which texts go through the network together: a list of int arrays of positions.

    lengths: tokens of each text. One of: batch_size, a fixed number of texts; token_budget, as many as
    fit when all are padded to the longest. by_length: longest first, so that neighbours are alike.
    """
    if (batch_size is None) == (token_budget is None):
        raise ValueError(f"give either batch_size or token_budget, got {batch_size} and {token_budget}")
    if (batch_size if token_budget is None else token_budget) < 1:
        raise ValueError(f"batch_size and token_budget must be at least 1, got {batch_size} and {token_budget}")
    lengths = np.asarray(lengths)
    order = np.argsort(-lengths, kind="stable") if by_length else np.arange(len(lengths))
    found = []
    while len(order):
        size = batch_size
        if size is None:
            longest = np.maximum.accumulate(lengths[order[:token_budget]])  # more cannot fit
            size = max(1, int((longest * np.arange(1, len(longest) + 1) <= token_budget).sum()))
        found.append(order[:size])
        order = order[size:]
    return found


def padding_share(lengths, groups):
    """Share of the tokens computed that are padding, if each group is padded to its longest text."""
    lengths = np.asarray(lengths)
    computed = sum(len(group) * int(lengths[group].max()) for group in groups)
    return 1 - lengths.sum() / computed


def checked_texts(texts):
    """The texts as a list. Raises ValueError for an empty batch or an empty text, TypeError for what is no text."""
    texts = [texts] if isinstance(texts, str) else list(texts)
    if not texts:
        raise ValueError("texts is empty: there is nothing to encode, so do not call")
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"texts[{position}] must be a text, got {type(text).__name__}")
        if not text.strip():
            raise ValueError(f"texts[{position}] is empty: it would get a vector like any other, and be found")
    return texts


def _chosen(dtype):
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}; got {dtype!r}")
    return {"auto": "bfloat16" if has_bfloat16() else "float32"}.get(dtype, dtype)


@lru_cache(maxsize=2)
def _network(dtype):
    "The encoder's transformer, or a copy of it in another dtype."
    network = models.encoder()[0].auto_model
    return network if dtype == "float32" else copy.deepcopy(network).to(torch.bfloat16)


@torch.inference_mode()
def _forward(network, ids):
    "One forward pass over token ids, padded to the longest: unit vectors, float32 (texts, 384)."
    width = max(map(len, ids))
    tokens, mask = torch.zeros(2, len(ids), width, dtype=torch.long)
    for row, own in enumerate(ids):
        tokens[row, : len(own)], mask[row, : len(own)] = torch.tensor(own), 1
    device = models.device()
    hidden = network(
        input_ids=tokens.to(device),
        attention_mask=None if mask.all() else mask.to(device),  # without a mask attention takes a shorter way
    ).last_hidden_state.float().cpu()  # fmt: skip
    means = (hidden * mask[:, :, None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
    return torch.nn.functional.normalize(means).numpy()


def search_with(dtype, questions, documents):
    """Encode questions and a shelf of documents in `dtype`, and search: (vectors of both, recall@10).

    questions: `corpus.Question`. documents: how many; those that answer a question are among them. Vectors are
    float32 (questions + documents, 384), questions first.
    """
    right = [corpus.by_name()[question.source].text for question in questions]
    shelf = list(dict.fromkeys(right + draw_texts("documents", documents)))[:documents]
    vectors = encode([question.text for question in questions] + shelf, dtype=dtype)
    nearest = np.argsort(-vectors[: len(questions)] @ vectors[len(questions) :].T, axis=1, kind="stable")
    relevant = np.array([shelf.index(text) for text in right])
    return vectors, evaluation.recall_at_k(nearest, relevant, 10)


@contextmanager
def forward_passes():
    """Count the encoder's forward passes within the block, in float32: a list of (texts, tokens), one entry a pass."""
    passes, entrance = [], models.encoder()[0].auto_model.embeddings

    def note(_, arguments, named):
        ids = named.get("input_ids", arguments[0] if arguments else None)
        passes.append(tuple(ids.shape))

    hook = entrance.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield passes
    finally:
        hook.remove()


def guide_loop(texts, batch_size=256):
    """The guide's "FAST" loop, line for line but for storing: it slices, and `encode` slices again."""
    vectors = []
    for i in range(0, len(texts), batch_size):
        batch = texts[i : i + batch_size]
        vectors.append(models.encoder().encode(batch, show_progress_bar=False))
    return np.concatenate(vectors)


# ---- texts


@lru_cache(maxsize=1)
def _pool():
    "(texts, their tokens): names, signatures and first paragraphs, and the whole docstrings of which they are part."
    documents = corpus.load_documents()
    texts = [d.text for d in documents] + [f"{d.text}\n{d.body}" for d in documents if d.body]
    counted = cache.arrays("token-counts", [texts], lambda: {"tokens": np.array(models.token_counts(texts))})
    return texts, counted["tokens"], len(documents)


def draw_texts(kind, count, seed=0):
    """`count` distinct texts of the corpus: "documents" as they are indexed, "short" or "long" (see LENGTHS), or
    "equal", all of the same number of tokens (40, the median of the documents). A list."""
    texts, lengths, documents = _pool()
    lowest, highest = {"documents": (1, 256), "equal": (40, 40), **LENGTHS}.get(kind, (None, None))
    if lowest is None:
        raise ValueError(f"kind must be documents, equal, {' or '.join(LENGTHS)}; got {kind!r}")
    fits = np.flatnonzero((lengths >= lowest) & (lengths <= highest))
    if kind == "documents":
        fits = fits[fits < documents]
    if count > len(fits):
        raise ValueError(f"count must be at most {len(fits)}, as many {kind} texts as there are; got {count}")
    return [texts[i] for i in np.random.default_rng(seed).permutation(fits)[:count]]


# ---- requests that arrive one by one


def md1_latencies(load, requests, seed):
    """Latencies at one server that takes 1 for each request, under Poisson arrivals: float array (requests,).

    load: arrivals per service time, below 1. A simulation by Lindley's recursion, starting empty.
    Source: Lindley 1952, The Theory of Queues with a Single Server.
    """
    if not 0 < load < 1:
        raise ValueError(f"load must be above 0 and below 1, got {load}: at 1 and above the queue grows for ever")
    gaps = np.random.default_rng(seed).exponential(1 / load, requests)
    ahead = np.cumsum(1 - gaps) - 1  # work that came before each request, less the time that has passed
    return 1 + ahead - np.minimum.accumulate(ahead)


def md1_mean_latency(load):
    """The mean latency at such a server, in service times: 1 + load / (2 (1 − load)) (Pollaczek and Khinchine)."""
    return 1 + load / (2 * (1 - load))


class Batcher:
    """A server that encodes together what waits together (dynamic batching).

    encode: function of a list of texts. max_batch: texts in one call. max_wait: seconds for which the
    first of a batch may wait for others; with 0 it takes what is there already. Use as a context.
    """

    def __init__(self, encode, max_batch=16, max_wait=0.0):
        if max_batch < 1 or max_wait < 0:
            raise ValueError(f"max_batch must be at least 1 and max_wait at least 0, got {max_batch} and {max_wait}")
        self.encode, self.max_batch, self.max_wait = encode, max_batch, max_wait
        self.sizes = []  # of the batches so far
        self._waiting = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def submit(self, text):
        """A `Future` of the text's vector. An error of `encode` comes out of every future of that batch."""
        future = Future()
        self._waiting.put((text, future))
        return future

    def _serve(self):
        while (first := self._waiting.get()) is not None:
            batch, until = [first], time.perf_counter() + self.max_wait
            while len(batch) < self.max_batch:
                try:
                    left = until - time.perf_counter()
                    other = self._waiting.get(timeout=left) if left > 0 else self._waiting.get_nowait()
                except queue.Empty:
                    break
                if other is None:
                    self._waiting.put(None)
                    break
                batch.append(other)
            self.sizes.append(len(batch))
            try:
                vectors = self.encode([text for text, _ in batch])
            except Exception as error:
                for _, future in batch:
                    future.set_exception(error)
                continue
            for (_, future), vector in zip(batch, vectors, strict=True):
                future.set_result(vector)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._waiting.put(None)
        self._thread.join()


@dataclass(frozen=True)
class Load:
    """What a load generator saw, in seconds: when each request was due, sent and answered, from the first one's due."""

    due: np.ndarray
    sent: np.ndarray
    answered: np.ndarray

    @property
    def latency(self):
        """From when a request was due: what a user waits."""
        return self.answered - self.due

    @property
    def throughput(self):
        """Requests answered per second."""
        return len(self.due) / self.answered.max()

    def in_flight(self):
        """Mean number of requests due and not yet answered, from the first to the last answer, counted over time.

        By Little's law it is throughput × mean latency: an identity here, whatever the distributions.
        """
        times = np.concatenate([self.due, self.answered])
        steps = np.concatenate([np.ones(len(self.due)), -np.ones(len(self.due))])
        order = np.argsort(times, kind="stable")
        held = np.cumsum(steps[order])[:-1] * np.diff(times[order])
        return float(held.sum() / (times.max() - times.min()))


def open_loop(submit, texts, rate, seed):
    """Send texts at the times of a Poisson process, `rate` a second, answered or not: what was seen, a `Load`.

    submit: function of a text returning a `Future`, such as `Batcher.submit`.
    """
    if rate <= 0:
        raise ValueError(f"rate must be above 0 requests a second, got {rate}")
    gaps = np.random.default_rng(seed).exponential(1 / rate, len(texts))
    due = np.cumsum(gaps) - gaps[0]
    sent, answered, futures = np.empty(len(texts)), np.empty(len(texts)), []
    finished, start = threading.Semaphore(0), time.perf_counter()

    def note(position):
        def done(_):
            answered[position] = time.perf_counter() - start
            finished.release()

        return done

    for position, text in enumerate(texts):
        wait = due[position] - (time.perf_counter() - start)
        if wait > 0:
            time.sleep(wait)
        sent[position] = time.perf_counter() - start
        future = submit(text)
        future.add_done_callback(note(position))
        futures.append(future)
    for _ in futures:
        finished.acquire()
    for future in futures:
        future.result()  # raises what `encode` raised
    return Load(due, sent, answered)


def closed_loop(submit, texts):
    """Send each text when the one before is answered: a `Load` that counts from sending, as naive tests do.

    While the server stalls, nothing is sent, so nothing else is seen to wait: "coordinated omission" (Gil Tene).
    """
    sent, answered = np.empty(len(texts)), np.empty(len(texts))
    start = time.perf_counter()
    for position, text in enumerate(texts):
        sent[position] = time.perf_counter() - start
        submit(text).result()
        answered[position] = time.perf_counter() - start
    return Load(sent, sent, answered)


# ---- recorded: timings need a quiet machine, and all of it


def seconds(function, *arguments, runs=1, **settings):
    """Seconds of the fastest of several runs."""
    fastest = math.inf
    for _ in range(runs):
        start = time.perf_counter()
        function(*arguments, **settings)
        fastest = min(fastest, time.perf_counter() - start)
    return fastest


def ratio(rows):
    """Mean and t interval of a ratio over the seeds, on a logarithmic scale: [estimate, low, high]."""
    found = evaluation.over_seeds(np.log(rows))
    return [round(math.exp(value), 3) for value in (found.estimate, found.low, found.high)]


TEXTS_AND_PATH = [draw_texts, plain, encode, batches, _forward, _network, has_bfloat16]


@recorded(LESSON, depends_on=[draw_texts, plain])
def throughput(*, kinds=tuple(LENGTHS), batch_sizes=BATCH_SIZES, count=256, seeds=(0, 1, 2)):
    """Texts a second of the plain encoder over the batch size: {kind: {batch size: one for each seed}}."""
    plain(draw_texts("short", 32))
    found = {kind: {str(size): [] for size in batch_sizes} for kind in kinds}
    for seed in tqdm(seeds, "throughput"):
        for kind in kinds:
            texts = draw_texts(kind, count, seed)
            for size in batch_sizes:
                found[kind][str(size)].append(round(count / seconds(plain, texts, batch_size=size), 2))
    return {"threads": torch.get_num_threads(), "texts a second": found}


@recorded(LESSON, depends_on=[*TEXTS_AND_PATH, guide_loop])
def ladder(*, count=768, rounds=2, seeds=(0, 1, 2)):
    """Ways to encode the same documents, in times of `SentenceTransformer.encode` with its defaults.

    {"times": {way: [estimate, low, high]}}, by the seconds of each seed's texts, the faster of two rounds in which
    the ways take turns. "all threads over one" compares a way with itself.
    """
    ways = {
        "defaults": plain,
        "batch_size=256": lambda texts: plain(texts, batch_size=256),
        "the guide's loop": guide_loop,
        "quick path, float32": lambda texts: encode(texts, dtype="float32"),
        "quick path": encode,
    }
    on_one, threads = {"defaults, one thread": plain, "quick path, one thread": encode}, torch.get_num_threads()
    for function in ways.values():
        function(draw_texts("documents", count // 4, seed=99))  # so that no shape's first time is timed
    took = {way: [] for way in ways | on_one}
    for seed in tqdm(seeds, "ladder"):
        texts, tried = draw_texts("documents", count, seed), {way: [] for way in took}
        for _ in range(rounds):
            torch.set_num_threads(threads)
            for way, function in ways.items():
                tried[way].append(seconds(function, texts))
            torch.set_num_threads(1)
            for way, function in on_one.items():
                tried[way].append(seconds(function, texts))
            torch.set_num_threads(threads)
        for way, rows in tried.items():
            took[way].append(min(rows))
    times = {way: ratio(np.divide(took["defaults"], rows)) for way, rows in took.items() if way != "defaults"}
    threaded = {way: ratio(np.divide(took[f"{way}, one thread"], took[way])) for way in ("defaults", "quick path")}
    return {"threads": threads, "bfloat16": has_bfloat16(), "times": times, "all threads over one": threaded}


def _probe_pages(sizes, count, seeds):
    "{condition: {size: seconds for each seed}} of the forward passes alone, float32."
    network, tokenize = _network("float32"), models.encoder().tokenizer
    found = {name: {str(size): [] for size in sizes} for name in ("sorted", "equal")}
    for seed in seeds:
        whole = {"sorted": draw_texts("documents", count, seed), "equal": draw_texts("long", count, seed)}
        for name, texts in whole.items():
            longest = {"sorted": 256, "equal": LENGTHS["long"][0]}[name]  # the long ones are all cut to the same
            ids = tokenize(texts, truncation=True, max_length=longest)["input_ids"]
            for size in sizes:
                groups = [[ids[i] for i in rows] for rows in batches([len(own) for own in ids], size)]
                _forward(network, groups[0])

                def passes(groups=groups):
                    for group in groups:
                        _forward(network, group)

                found[name][str(size)].append(round(seconds(passes), 4))
    return found


def _probe_memory(size, kind, count):
    "Most memory in MB that encoding takes beyond what the process had before, looked at every millisecond."
    texts, process, done = draw_texts(kind, count), psutil.Process(), threading.Event()
    plain(texts[:1])
    before, seen = process.memory_info().rss, []

    def watch():
        while not done.wait(0.001):
            seen.append(process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    plain(texts, batch_size=size)
    done.set()
    watcher.join()
    return {"MB": round((max(seen) - before) / 2**20, 1)}


def _in_a_process(probe, environment=None, **settings):
    "What a probe returns in a process of its own, with these environment variables."
    code = (
        f"import json; from helpers.scaling import batching; "
        f"print(json.dumps(batching.{probe.__name__}(**json.loads({json.dumps(json.dumps(settings))}))))"
    )
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], env={**os.environ, **(environment or {})},
        capture_output=True, text=True,
    )  # fmt: skip
    if run.returncode:
        raise RuntimeError(f"{probe.__name__} failed in its process: {run.stderr.strip().splitlines()[-1:]}")
    return json.loads(run.stdout.splitlines()[-1])


# glibc hands large blocks back to the system at once, and the next pass gets them anew, page by page. Not with these:
KEEPS_PAGES = {"MALLOC_MMAP_THRESHOLD_": "2000000000", "MALLOC_TRIM_THRESHOLD_": "8000000000"}


@recorded(LESSON, depends_on=[draw_texts, batches, _forward, _network, _probe_pages])
def why_slower(*, sizes=(32, 256), count=512, seeds=(0, 1, 2)):
    """Seconds for the same texts in batches of 32 and of 256: {condition: {size: [seconds for each seed]}}, float32.

    "sorted": documents, sorted by length, which leaves much padding in 256. "equal": texts cut to 96 tokens each,
    which leaves none. Each also with the allocator told to keep its memory ("…, pages kept").
    """
    settings = {"sizes": sizes, "count": count, "seeds": seeds}
    fresh, kept = (_in_a_process(_probe_pages, environment, **settings) for environment in ({}, KEEPS_PAGES))
    return fresh | {f"{name}, pages kept": rows for name, rows in kept.items()}


@recorded(LESSON, depends_on=[draw_texts, plain, _probe_memory])
def memory(*, sizes=(1, 8, 32, 128, 256), kind="long", count=256):
    """Peak memory that encoding adds to that of the loaded model, over the batch size: {size: MB}."""
    return {str(n): _in_a_process(_probe_memory, size=n, kind=kind, count=count)["MB"] for n in tqdm(sizes, "memory")}


@recorded(
    LESSON, depends_on=[encode, _forward, _network, batches, evaluation.recall_at_k, evaluation.paired_difference]
)
def agreement(*, k=10, families=corpus.FAMILIES, passages=1500, seed=0):
    """What bfloat16 does to search over the whole corpus: recall@k with it and without, documents and queries anew.

    Two sets of queries: the development questions, and beginnings of docstrings' bodies, which are not indexed and
    should find their own document. For each: {"queries", "recall", "changed": queries that only one of the two
    answers, "difference": bfloat16 minus float32 as [estimate, low, high], resampled by class or module, and "same
    neighbours": the share of the k nearest that stay}.
    """
    library = baseline.library()
    position = {document.name: i for i, document in enumerate(library.documents)}
    questions = [question for family in families for question in corpus.load_questions(family, "development")]
    with_body = [document for document in library.documents if document.body.strip()]
    drawn = [with_body[i] for i in np.random.default_rng(seed).permutation(len(with_body))[:passages]]
    sets = {
        "questions": [(question.text, question.source) for question in questions],
        "passages": [(document.body[:300], document.name) for document in drawn],
    }
    pieces = {dtype: encode(library.texts, dtype=dtype) for dtype in ("float32", "bfloat16")}
    found = {}
    for name, pairs in sets.items():
        texts, sources = zip(*pairs, strict=True)
        right = np.array([position[source] for source in sources])[:, None]
        nearest = {}
        for dtype, own in pieces.items():
            order = np.argsort(-encode(texts, dtype=dtype) @ own.T, axis=1, kind="stable")[:, :k]
            nearest[dtype] = library.parents[order]  # two documents are too long for one piece
        hits = {dtype: (rows == right).any(axis=1) for dtype, rows in nearest.items()}
        groups = [corpus.by_name()[source].group for source in sources]
        difference = evaluation.paired_difference(hits["bfloat16"], hits["float32"], clusters=groups)
        kept = [len(set(a) & set(b)) / k for a, b in zip(*nearest.values(), strict=True)]
        found[name] = {
            "queries": len(pairs),
            "recall": {dtype: float(rows.mean()) for dtype, rows in hits.items()},
            "changed": int((hits["bfloat16"] != hits["float32"]).sum()),
            "difference": [difference.estimate, difference.low, difference.high],
            "same neighbours": float(np.mean(kept)),
        }
    return found


@contextmanager
def one_thread():
    """One thread for torch, so that a server in a thread of its own leaves a core to who sends the requests.

    (With two, each thread that calls torch gets helpers of its own, and they wait for each other.)
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _own_time(encode, texts):
    "Median seconds of one request that finds the server idle."
    with Batcher(encode, 1) as server, one_thread():
        closed_loop(server.submit, texts)
        return float(np.median(closed_loop(server.submit, texts).latency))


@recorded(LESSON, depends_on=[Batcher, Load, open_loop, closed_loop, draw_texts, _forward, _network])
def arrivals(*, loads=(0.5, 0.9, 1.5), requests=300, max_batch=16, seeds=(0, 1, 2)):
    """Real requests to the real encoder, Poisson arrivals, one at a time and batched dynamically.

    A load of 1 is what the encoder does one at a time. {server: {load: {"throughput", "p50", "p99" in times of one
    request's own time, "batch", "in flight", "rate × latency"}}}, each one for each seed.
    """

    def float32(texts):
        return encode(texts, dtype="float32")

    texts = draw_texts("short", 1000)
    servers = {"one at a time": (1, 0.0), "what waits": (max_batch, 0.0), "waits for more": (max_batch, 2.0)}
    found = {name: {str(load): [] for load in loads} for name in servers}
    for seed in tqdm(seeds, "arrivals"):
        chosen = [texts[i] for i in np.random.default_rng(seed).integers(0, len(texts), requests)]
        own = _own_time(float32, chosen[:100])
        for load in loads:
            for name, (most, patience) in servers.items():
                with Batcher(float32, most, patience * own) as server, one_thread():
                    seen = open_loop(server.submit, chosen, load / own, seed)
                found[name][str(load)].append({
                    "throughput": float(seen.throughput * own),
                    "p50": float(np.median(seen.latency)) / own,
                    "p99": float(np.quantile(seen.latency, 0.99)) / own,
                    "batch": float(np.mean(server.sizes)),
                    "in flight": seen.in_flight(),
                    "rate × latency": float(seen.throughput * seen.latency.mean()),
                })  # fmt: skip
    return found


@recorded(LESSON, depends_on=[Batcher, Load, open_loop, closed_loop, draw_texts, _forward, _network])
def stall(*, requests=400, load=0.3, pause=100, seeds=(0, 1, 2)):
    """One pause of the server, `pause` requests long, seen by an open and by a closed loop.

    {"open": [p99 in times of one request's own time, for each seed], "closed": the same, "closed worst": the slowest}.
    """

    def float32(batch):
        return encode(batch, dtype="float32")

    texts, found = draw_texts("short", requests), {"open": [], "closed": [], "closed worst": []}
    for seed in tqdm(seeds, "stall"):
        own = _own_time(float32, texts[:100])
        for loop in ("open", "closed"):
            served = []

            def paused(batch, served=served, own=own):
                served.append(len(batch))
                if len(served) == requests // 4:
                    time.sleep(pause * own)
                return float32(batch)

            with Batcher(paused, 1) as server, one_thread():
                send = (server.submit, texts)
                seen = open_loop(*send, load / own, seed) if loop == "open" else closed_loop(*send)
            found[loop].append(float(np.quantile(seen.latency, 0.99)) / own)
            if loop == "closed":
                found["closed worst"].append(float(seen.latency.max()) / own)
    return found


def main(arguments=None):
    parser = argparse.ArgumentParser("python -m helpers.scaling.batching", description=__doc__.partition("\n")[0])
    parser.add_argument("--texts", type=int, default=256, help="documents to encode (default 256)")
    parser.add_argument("--token-budget", type=int, default=TOKEN_BUDGET, help=f"default {TOKEN_BUDGET}")
    chosen = parser.parse_args(arguments)
    try:
        texts = checked_texts(draw_texts("documents", chosen.texts))
        batches([1], token_budget=chosen.token_budget)
    except ValueError as error:
        parser.error(str(error))
    lengths = models.token_counts(texts)
    dtypes = ["float32", "bfloat16"] if has_bfloat16() else ["float32"]
    ways = {f"encode, batch_size={size}": (size, None) for size in (1, 8, 32, 256)}
    ways |= {f"quick path, {dtype}": (None, dtype) for dtype in dtypes}
    reference, base = plain(texts), seconds(plain, texts, runs=2)
    print(f"{'way':24} {'texts/s':>8} {'times defaults':>15} {'padding':>8} {'largest difference':>19}")
    for way, (size, dtype) in tqdm(ways.items(), leave=False):
        budget = None if size else chosen.token_budget

        def run(size=size, dtype=dtype):
            return plain(texts, batch_size=size) if size else encode(texts, chosen.token_budget, dtype)

        far = np.abs(run() - reference).max()
        took, padding = seconds(run), padding_share(lengths, batches(lengths, size, budget))
        tqdm.write(f"{way:24} {len(texts) / took:8.0f} {base / took:14.2f}x {padding:8.1%} {far:19.1e}")


if __name__ == "__main__":
    main()
