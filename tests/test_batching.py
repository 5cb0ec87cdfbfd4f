import threading
from concurrent.futures import Future

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.assistant import corpus, models
from helpers.scaling import batching
from helpers.scaling.batching import Batcher, Load, batches, padding_share

LONG = "word " * 400


@pytest.fixture(scope="module")
def texts():
    return batching.draw_texts("documents", 40)


# ---- the quick path


@pytest.mark.parametrize("token_budget", [1, 300, 100_000])
def test_the_quick_path_gives_the_encoders_own_vectors(texts, token_budget):
    mixed = [texts[0], LONG, *texts[1:6], texts[0], "a"]
    ours = batching.encode(mixed, token_budget, dtype="float32")
    assert ours.dtype == np.float32 and ours.shape == (9, 384)
    np.testing.assert_allclose(ours, batching.plain(mixed), atol=1e-6)


def test_bfloat16_is_close_and_float32_again(texts):
    ours, theirs = batching.encode(texts[:6], dtype="bfloat16"), batching.plain(texts[:6])
    assert ours.dtype == np.float32
    assert (ours * theirs).sum(axis=1).min() > 0.999 and np.abs(ours - theirs).max() < 0.01
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)


def test_auto_is_what_the_processor_has(texts, monkeypatch):
    for found, dtype in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=found: {"amx_bf16": found, "avx2": True})
        np.testing.assert_array_equal(batching.encode(texts[:2]), batching.encode(texts[:2], dtype=dtype))


def test_a_copy_in_bfloat16_leaves_the_encoder_as_it_is(texts):
    batching.encode(texts[:1], dtype="bfloat16")
    assert {p.dtype for p in models.encoder().parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([],), ValueError, "texts is empty"),
        ((["a", ""],), ValueError, r"texts\[1\] is empty"),
        (([None],), TypeError, r"texts\[0\] must be a text, got NoneType"),
        ((["a"], 0), ValueError, "token_budget must be at least 1, got 0"),
        ((["a"], 10, "int8"), ValueError, "dtype must be one of auto, float32, bfloat16; got 'int8'"),
    ],
)
def test_what_cannot_be_encoded_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        batching.encode(*arguments)


# ---- batches and padding


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(1, 120), st.booleans(), st.booleans())
def test_every_text_is_in_one_batch_and_no_batch_is_too_large(lengths, limit, by_length, by_tokens):
    groups = batches(lengths, **{"token_budget" if by_tokens else "batch_size": limit}, by_length=by_length)
    assert sorted(np.concatenate(groups)) == list(range(len(lengths)))
    for group in groups:
        cost = len(group) * max(lengths[i] for i in group) if by_tokens else len(group)
        assert cost <= limit or len(group) == 1


def test_padding_share_by_hand():
    assert padding_share([10, 5, 5, 10], [np.array([0, 1]), np.array([2, 3])]) == pytest.approx(10 / 40)
    assert padding_share([10, 5, 5, 10], batches([10, 5, 5, 10], batch_size=2)) == 0


def test_a_batch_needs_one_limit():
    for limits in ({}, {"batch_size": 2, "token_budget": 2}):
        with pytest.raises(ValueError, match="give either batch_size or token_budget"):
            batches([1, 2], **limits)
    for limits in ({"batch_size": 0}, {"token_budget": -1}):
        with pytest.raises(ValueError, match="must be at least 1"):
            batches([1, 2], **limits)


def test_the_guides_batches_of_256_reach_the_network_as_32(texts):
    with batching.forward_passes() as passes:
        vectors = batching.guide_loop(texts, batch_size=36)
    assert [rows for rows, _ in passes] == [32, 4, 4]
    np.testing.assert_allclose(vectors, batching.plain(texts), atol=1e-6)


def test_texts_are_drawn_by_length():
    for kind, (lowest, highest) in {**batching.LENGTHS, "equal": (40, 40)}.items():
        drawn = batching.draw_texts(kind, 30, seed=1)
        assert len(set(drawn)) == 30 and drawn != batching.draw_texts(kind, 30, seed=2)
        assert all(lowest <= count <= highest for count in models.token_counts(drawn))
    with pytest.raises(ValueError, match="kind must be documents, equal, short or long; got 'tiny'"):
        batching.draw_texts("tiny", 3)
    with pytest.raises(ValueError, match="count must be at most"):
        batching.draw_texts("equal", 10**6)


# ---- queues


def test_md1_latencies_equal_a_queue_that_is_stepped_through():
    load, gaps = 0.8, np.random.default_rng(3).exponential(1 / 0.8, 500)
    free, latencies = 0.0, []
    for arrival in np.cumsum(gaps):
        free = max(free, arrival) + 1
        latencies.append(free - arrival)
    np.testing.assert_allclose(batching.md1_latencies(load, 500, seed=3), latencies, atol=1e-9)


@pytest.mark.parametrize("load", [0.3, 0.5, 0.9])
def test_md1_has_the_mean_of_pollaczek_and_khinchine(load):
    simulated = batching.md1_latencies(load, 400_000, seed=0).mean()
    assert simulated == pytest.approx(batching.md1_mean_latency(load), rel=0.03)


@pytest.mark.parametrize("load", [0, 1, 1.5])
def test_a_queue_without_a_mean_is_refused(load):
    with pytest.raises(ValueError, match="load must be above 0 and below 1"):
        batching.md1_latencies(load, 10, 0)


def numbered(texts):
    return np.array([[float(text)] for text in texts])


def test_the_batcher_gives_each_its_own_vector_and_takes_what_waits():
    ready, sizes = threading.Event(), []

    def encode(texts):
        ready.wait(10)
        sizes.append(len(texts))
        return numbered(texts)

    with Batcher(encode, max_batch=4) as server:
        futures = [server.submit(str(i)) for i in range(9)]
        ready.set()
        assert [future.result(10)[0] for future in futures] == list(range(9))
    assert max(sizes) == 4 and sum(sizes) == 9 and server.sizes == sizes


def test_an_encoder_that_fails_fails_its_batch_alone():
    def encode(texts):
        if "bad" in texts:
            raise RuntimeError("no such text")
        return numbered(texts)

    with Batcher(encode, max_batch=1) as server:
        bad, good = server.submit("bad"), server.submit("7")
        with pytest.raises(RuntimeError, match="no such text"):
            bad.result(10)
        assert good.result(10)[0] == 7
    with pytest.raises(ValueError, match="max_batch must be at least 1"):
        Batcher(encode, 0)


def test_littles_law_by_hand():
    load = Load(due=np.array([0.0, 1.0, 1.0]), sent=np.zeros(3), answered=np.array([2.0, 2.0, 4.0]))
    assert load.latency.tolist() == [2, 1, 3] and load.throughput == 0.75
    assert load.in_flight() == pytest.approx(load.throughput * load.latency.mean()) == pytest.approx(1.5)


def test_an_open_loop_sends_without_waiting_for_answers():
    waiting = []

    def submit(text):  # answers only when all have been sent: a closed loop would wait for ever
        waiting.append(Future())
        if len(waiting) == 20:
            for future in waiting:
                future.set_result(None)
        return waiting[-1]

    seen = batching.open_loop(submit, ["a"] * 20, rate=10_000, seed=0)
    assert (seen.answered >= seen.sent).all() and (seen.sent >= seen.due).all() and seen.due[0] == 0
    with pytest.raises(ValueError, match="rate must be above 0"):
        batching.open_loop(submit, ["a"], 0, 0)


def test_a_closed_loop_has_one_request_in_flight():
    with Batcher(numbered) as server:
        seen = batching.closed_loop(server.submit, ["1", "2", "3"])
    assert (seen.sent[1:] >= seen.answered[:-1]).all() and set(server.sizes) == {1}


def test_an_open_loop_raises_what_the_encoder_raised():
    def encode(texts):
        raise RuntimeError("no model")

    with Batcher(encode) as server, pytest.raises(RuntimeError, match="no model"):
        batching.open_loop(server.submit, ["a", "b"], 1000, 0)


# ---- measuring


def test_a_ratio_is_averaged_on_a_logarithmic_scale():
    estimate, low, high = batching.ratio([0.5, 2.0, 1.0])
    assert estimate == 1 and low == pytest.approx(1 / high, rel=0.01)


def test_throughput_has_a_row_for_each_seed():
    found = batching.throughput(kinds=("short",), batch_sizes=(1, 4), count=8, seeds=(0, 1))["texts a second"]
    assert set(found["short"]) == {"1", "4"} and all(
        len(rows) == 2 and min(rows) > 0 for rows in found["short"].values()
    )


def test_the_terminal_prints_a_row_for_each_way(capsys):
    batching.main(["--texts", "8"])
    printed = capsys.readouterr().out
    assert "encode, batch_size=256" in printed and "quick path, float32" in printed
    for wrong, message in ((["--texts", "0"], "texts is empty"), (["--token-budget", "0"], "token_budget must be")):
        with pytest.raises(SystemExit):
            batching.main(wrong)
        assert message in capsys.readouterr().err


def test_one_thread_is_given_back():
    torch.set_num_threads(2)
    with pytest.raises(RuntimeError), batching.one_thread():
        assert torch.get_num_threads() == 1
        raise RuntimeError
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)


def test_a_small_search_finds_what_is_on_its_shelf():
    questions = corpus.load_questions("named", "development")[:4]
    vectors, recall = batching.search_with("float32", questions, documents=12)
    assert vectors.shape == (4 + 12, 384) and recall == 1.0
