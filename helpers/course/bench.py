"""`make bench`: the course's budgets, measured on this machine.

A budget is a ratio: what was measured over what is allowed, best of several runs. Nothing
here is asserted anywhere, since a busy machine is not a broken course.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """One line of the table. `measure()` returns a number in `unit`, to stay at or under `allowed`."""

    name: str
    measure: Callable
    allowed: float
    unit: str = "s"
    large: bool = False  # only with --large


def main(large=False):
    """Print the table; a line that is over its budget is marked, no error is raised."""
    print(f"{'budget':58} {'allowed':>11} {'measured':>11} {'used':>6}")
    for budget in BUDGETS:
        if budget.large and not large:
            continue
        measured = budget.measure()
        used = measured / budget.allowed
        shown = (f"{budget.allowed:,.4g} {budget.unit}", f"{measured:,.3g} {budget.unit}")
        print(f"{budget.name:58} {shown[0]:>11} {shown[1]:>11} {used:6.0%} {'' if used <= 1 else 'OVER'}", flush=True)


def best_of(runs, function, *arguments):
    """Seconds of the fastest of several runs."""
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        function(*arguments)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _fresh(code):
    "Seconds that code reports from a process of its own, with an empty cache of its own."
    with tempfile.TemporaryDirectory() as empty:
        return _process(code, HELPERS_CACHE=empty)


def _process(code, **environment):
    timed = f"import time\n{code.replace('START', 'start = time.perf_counter()')}\nprint(time.perf_counter() - start)"
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", timed],
        env={**os.environ, **environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return float(run.stdout.split()[-1])


def _corpus_from_scratch():
    return _fresh("START\nfrom helpers.assistant import corpus\ncorpus.load_documents()")


def _corpus_from_cache():
    code = "from helpers.assistant import corpus\nSTART\ncorpus.load_documents()"
    return min(_process(code) for _ in range(3))


def _language_model_from_cache():
    imports = "from transformers import AutoTokenizer, LlamaForCausalLM\nfrom helpers.assistant import models\n"
    code = f"{imports}START\nmodels.language_model()"
    return min(_process(code) for _ in range(3))


def _ask_warm():
    from ..assistant.agent import Assistant
    from ..assistant.config import Config

    assistant = Assistant(Config(keyword_threshold=4))  # without the lookup, which answers at once
    assistant.ask("What is the default of axis in numpy.linalg.vecdot?")
    return best_of(5, assistant.ask, "What is the default of tol in sklearn.linear_model.Ridge?")


def _one_setting(keep):
    from .. import baseline

    expected = baseline.expected("right document", "described", keep=keep)
    expected.accuracy(0.7, 0.9)
    return 1000 * best_of(10, expected.accuracy, 0.7, 0.9)


def _hundred_datasets():
    from .. import cross_validation

    texts = cross_validation.library_texts()
    return best_of(2, cross_validation.draws, texts, 100, range(100), cross_validation.PROTOCOLS)


def _one_arm():
    from ..augmentation import effects
    from ..augmentation.texts import load_splits

    material = effects.load_material()
    rows = material.rows(load_splits().validation)
    return best_of(2, effects.compare, material, ["word edits"], rows)


def _round_trips():
    from ..augmentation import augmenters, texts, translate

    if translate.apertium_missing():
        return float("nan")
    written = [source.text for source in texts.load_splits().pool[:200]]
    return best_of(3, augmenters.back_translation, written)


def _share_of_generating(keep, asked=15):
    "Seconds of one setting, exactly, in percent of those of answering the same 150 questions by generating."
    from .. import baseline
    from ..assistant.agent import Assistant, Clock
    from ..assistant.config import Config

    assistant = Assistant(Config(temperature=0.7, top_p=0.9))
    prompts = baseline.prompts("right document", "described", "development")

    def generate():
        for seed, prompt in enumerate(prompts[:asked]):
            assistant._generate(prompt, True, seed, Clock())

    generate()  # the first time loads the model
    generating = best_of(2, generate) * len(prompts) / asked
    return _one_setting(keep) / 1000 / generating * 100


def _batched_training():
    """Seconds of ten heads trained as one batched model, over those of a loop in plain torch with a fused optimizer.

    With 32 units and batches of five, where a step's overhead counts most; with 128 units it is about 0.3.
    """
    import torch

    from .. import regularization, training

    splits, seeds = regularization.load_splits(), range(10)
    drawn, held_out = splits.draw(300, seeds), splits.rows(splits.validation)
    settings = {"epochs": 10, "batch_size": 5, "learning_rate": 2e-3}

    def batched():
        training.fit(training.Head(32), drawn, held_out, splits.classes, seeds, **settings)

    def loop():
        for x, y in zip(*map(torch.as_tensor, drawn), strict=True):
            _train_one(x, y, *map(torch.as_tensor, held_out), 32, splits.classes, **settings)

    batched()
    return best_of(3, batched) / best_of(3, loop)


def _quick_encoder(count=256):
    "Seconds of the quick path over those of `SentenceTransformer.encode` with its defaults, same texts and cores."
    from ..scaling import batching

    texts = batching.draw_texts("documents", count)
    for way in (batching.plain, batching.encode):
        way(texts)
    return best_of(2, batching.encode, texts) / best_of(2, batching.plain, texts)


def _cache_hit():
    "Seconds of a hit in the embedded Redis over those of computing the same short text."
    from ..scaling import batching, caching

    texts = batching.draw_texts("short", 100)
    with caching.Server() as server:
        kept = caching.EmbeddingCache(server.client(), caching.encode_float32, caching.course_space())
        computing = sum(caching.one_by_one(kept.get, texts))
        return sum(caching.one_by_one(kept.get, texts)) / computing


def _train_one(x, y, held_x, held_y, width, classes, epochs, batch_size, learning_rate):
    import torch

    net = torch.nn.Sequential(
        torch.nn.Linear(x.shape[1], width), torch.nn.ReLU(), torch.nn.Linear(width, classes)
    )  # fmt: skip
    optimizer = torch.optim.AdamW(net.parameters(), lr=learning_rate, weight_decay=0.0, fused=True)
    loss = torch.nn.CrossEntropyLoss()
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(batch_size):
            optimizer.zero_grad()
            loss(net(x[batch]), y[batch]).backward()
            optimizer.step()
        with torch.no_grad():  # as `training.fit` does: both curves, every epoch
            for inputs, labels in ((x, y), (held_x, held_y)):
                logits = net(inputs)
                loss(logits, labels), (logits.argmax(dim=1) == labels).float().mean()


def _after_over_before():
    "Seconds of a described question to the assistant after lesson 10, over those to lesson 00's."
    import numpy as np

    from ..assistant import corpus
    from ..before_after import serving, system

    asked = {"before": serving.lesson_00(), "after": system.assistant(system.AFTER)}
    texts = [question.text for question in corpus.load_questions("described", "development")[:4]]
    found = serving.seconds(asked, texts)
    return float(np.median(found["after"]) / np.median(found["before"]))


def _hints():
    "Milliseconds of the hints for the longest model answer of the rehearsal, typed as an answer."
    from .rehearsal import bank, hints

    questions = bank.load()
    hints.warm(questions)
    longest = max(questions, key=lambda question: len(question.answer))
    return 1000 * best_of(10, hints.read, longest, longest.answer)


def _drift_test():
    import numpy as np

    from ..monitoring import drift

    samples = np.random.default_rng(0).normal(size=(2, drift.WINDOW, 384))
    return 1000 * best_of(5, drift.mmd_test, *samples)


def _approximate_over_exact(n):
    """Seconds of one query with the quicker of IVF and HNSW, at a recall@10 of 0.95, over those of exact search.

    On one thread, with real sentences as queries.
    """
    import faiss

    from ..scaling.vector_search import corpora, measuring
    from ..scaling.vector_search.indexes import Index

    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    queries, _ = corpora.two_halves()
    flat = Index.build("Flat", corpora.enlarged(n))
    exact = flat.search(queries.vectors).ids
    flat_seconds = measuring.point(flat, queries, exact, timed=60).p50
    del flat
    quickest = float("inf")
    for kind in ("IVF", "HNSW"):
        points = measuring.curve(corpora.kept_index(kind, n, progress=True), queries, exact, enough=0.95, timed=200)
        quickest = min([quickest, *(point.p50 for point in points if point.recall.estimate >= 0.95)])
    faiss.omp_set_num_threads(threads)
    return quickest / flat_seconds


def _start_ranks():
    from ..scaling.distributed import launch

    def start():
        with launch.Ranks(2):
            pass

    return best_of(3, start)


def _ranks_over_one_process():
    "Seconds of a step on two ranks, over one process with all cores: what DDP costs where it adds no hardware."
    from ..scaling.distributed import launch, measuring

    with launch.Ranks(2) as ranks:
        found = ranks.run(measuring.step_seconds, measuring.width_of(1_000_000), 1024, 5)[0]
    return min(found["ranks"]) / min(found["all cores"])


BUDGETS = (
    Budget("corpus, read from the installed libraries", _corpus_from_scratch, 15),
    Budget("corpus, from the cache", _corpus_from_cache, 1),
    Budget("SmolLM2, from the cache", _language_model_from_cache, 2),
    Budget("one answer, retrieval and language model, warm", _ask_warm, 3),
    Budget("ten small heads as one batched model, over a loop, both fused", _batched_training, 0.25, "x"),
    Budget("one (temperature, top_p) setting, 150 questions, exact", lambda: _one_setting(None), 100, "ms"),
    Budget("one (temperature, top_p) setting, 150 questions, binned tail", lambda: _one_setting(1024), 10, "ms"),
    Budget("the same, binned, as a share of generating (1/200)", lambda: _share_of_generating(1024), 0.5, "%"),
    Budget("the same, exact, as a share of generating (1/200)", lambda: _share_of_generating(None), 0.5, "%"),
    Budget("100 datasets cross-validated in six ways", _hundred_datasets, 10),
    Budget("one MMD test of 240 requests, 999 relabelings", _drift_test, 50, "ms"),
    Budget("the quick encoder path, over encode() with its defaults", _quick_encoder, 0.5, "x"),
    Budget("a hit in the embedded Redis, over computing the text", _cache_hit, 0.1, "x"),
    Budget(
        "approximate search at recall 0.95 over exact, 100,000 (1/30)",
        lambda: _approximate_over_exact(100_000),
        1 / 30,
        "x",
    ),
    Budget("the same, 1,000,000 vectors", lambda: _approximate_over_exact(1_000_000), 1 / 30, "x", large=True),
    Budget("a described question after the course, over lesson 00's", _after_over_before, 0.1, "x"),
    Budget("two ranks, from nothing to a group and back", _start_ranks, 5),
    Budget("a step of 1,024 texts on two ranks, over one process", _ranks_over_one_process, 2, "x"),
    Budget("one arm of augmentation, ten training sets, eleven penalties", _one_arm, 4),
    Budget("hints for a typed answer of the rehearsal, warm", _hints, 200, "ms"),
    Budget("200 texts translated to Spanish and back by Apertium", _round_trips, 4),
)
