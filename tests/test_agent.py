import ast
import importlib
import threading
import time
from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.assistant import agent, corpus, models, retrieval
from helpers.assistant.agent import Assistant, asked_parameter, first_literal, keywords, look_up
from helpers.assistant.config import GUIDE, Config

ALPHA = "What is the default of alpha in sklearn.linear_model.Ridge?"
GENERAL = "What does the inverse of a matrix do?"
LOOKUP_OFF = Config(keyword_threshold=4)


@pytest.fixture(scope="module")
def few():
    """Documents that cost little to read."""
    names = ("numpy.linalg.inv", "scipy.linalg.inv", "sklearn.linear_model.Ridge", "torch.linalg.inv", "numpy.sinc")
    return retrieval.Library([corpus.by_name()[name] for name in names])


@pytest.fixture(scope="module")
def ask(few, lm):
    """ask(question, seed, **knobs) -> Answer, with the lookup off."""

    def answer(question, seed=0, **knobs):
        return Assistant(replace(LOOKUP_OFF, **knobs), library=few, language_model=lm).ask(question, seed)

    return answer


@pytest.fixture(scope="module")
def greedy(ask):
    """The likeliest answer to GENERAL."""
    return ask(GENERAL, max_tokens=9)


@pytest.fixture(scope="module")
def two_hundred(documents):
    return documents[::30][:200]


@pytest.fixture(scope="module")
def thirty(two_hundred):
    return sorted(two_hundred, key=lambda document: len(document.body))[100:130]


# answers


def test_a_named_default_is_looked_up(few):
    answer = Assistant(library=few).ask(ALPHA)
    assert (answer.text, answer.tool) == ("1.0", "signature lookup")
    assert answer.sources == (agent.Source("sklearn.linear_model.Ridge", 1.0),)
    assert answer.prompt == ""


def test_a_default_is_read_from_the_document_that_was_found(ask):
    answer = ask(ALPHA)
    assert (answer.text, answer.tool) == ("1.0", "retrieval")
    assert answer.sources[0].name == "sklearn.linear_model.Ridge"
    assert answer.prompt.endswith(f"{ALPHA}\nalpha")


def test_the_same_question_and_seed_give_the_same_answer(ask):
    first, second = (ask(GENERAL, seed=3, temperature=1.5, max_tokens=5) for _ in range(2))
    assert replace(first, seconds={}) == replace(second, seconds={})


def test_the_greedy_answer_is_that_of_transformers(greedy, lm):
    prompt = torch.tensor([lm.tokens(greedy.prompt)], device=models.device())
    generated = lm.model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=9, do_sample=False)
    assert greedy.text == lm.text(generated[0, prompt.shape[1] :].tolist()).replace("<|im_end|>", "").strip()


def test_every_source_is_a_document_of_an_installed_object(few):
    for sources in Assistant(Config(top_k=5), library=few).retrieve([ALPHA, GENERAL]):
        for source in sources:
            module, _, name = source.name.rpartition(".")
            assert getattr(importlib.import_module(module), name)
            assert source.name in corpus.by_name()


def test_every_source_is_in_the_prompt(ask):
    answer = ask(GENERAL, top_k=3, max_tokens=1)
    assert all(corpus.by_name()[source.name].text in answer.prompt for source in answer.sources)


def test_documents_need_not_be_of_the_corpus(lm):
    sinc = corpus.by_name()["numpy.sinc"]
    knife = replace(sinc, name="kitchen.cut", signature="(bread, slices=8)", summary="Cut it.")
    answer = Assistant(documents=[knife], language_model=lm).ask("What is the default of slices in kitchen.cut?")
    assert (answer.text, answer.sources[0].name) == ("8", "kitchen.cut")


def test_the_guides_settings_answer_too(few, lm):
    answer = Assistant(replace(GUIDE, keyword_threshold=4), library=few, language_model=lm).ask(ALPHA)
    assert answer.tool == "retrieval"
    assert answer.text


@pytest.mark.parametrize("question", ["", "  \n", None, 7])
def test_an_empty_question_is_refused(question, few):
    with pytest.raises(ValueError, match="question must be a text that asks something"):
        Assistant(library=few).ask(question)


def test_the_seconds_of_the_stages_add_up(ask):
    start = time.perf_counter()
    answer = ask(GENERAL, max_tokens=4)
    seconds = time.perf_counter() - start
    assert list(answer.seconds) == ["lookup", "encode", "search", "prompt", "generate"]
    assert 0.8 * seconds < sum(answer.seconds.values()) <= seconds


# every knob: its effect, or that it has none


def test_every_knob_has_a_test_here():
    tests = " ".join(name for name in globals() if name.startswith("test_knob_"))
    assert [field.name for field in fields(Config) if f"test_knob_{field.name}_" not in tests] == []


def test_knob_temperature_spreads_the_answers(ask):
    hot = {ask(GENERAL, seed, temperature=1.5, max_tokens=3).text for seed in range(2)}
    cold = {ask(GENERAL, seed, temperature=0.0, max_tokens=3).text for seed in range(2)}
    assert len(hot) > len(cold) == 1


def test_knob_top_p_next_to_nothing_is_greedy(ask, greedy):
    hot = {top_p: ask(GENERAL, seed=1, temperature=1.5, top_p=top_p, max_tokens=5).text for top_p in (1e-6, 1.0)}
    assert [greedy.text.startswith(text) for text in hot.values()] == [True, False]


def test_knob_max_tokens_cuts_the_answer(ask, greedy, lm):
    short = ask(GENERAL, max_tokens=4).text
    assert len(lm.tokens(short)) <= 4
    assert len(lm.tokens(greedy.text)) > 4
    assert greedy.text.startswith(short)


@pytest.fixture(scope="module")
def repetitions(ask):
    """repetitions(**knobs) -> how often an answer says the word that it is asked to repeat."""
    return lambda **knobs: ask("Write the word matrix ten times.", max_tokens=10, **knobs).text.count("matrix")


@pytest.fixture(scope="module")
def without_penalty(repetitions):
    return repetitions()


def test_knob_frequency_penalty_makes_an_answer_repeat_itself_less(repetitions, without_penalty):
    assert repetitions(frequency_penalty=1.5) < without_penalty


def test_knob_presence_penalty_makes_an_answer_repeat_itself_less(repetitions, without_penalty):
    assert repetitions(presence_penalty=1.5) < without_penalty


def test_knob_batch_size_changes_no_vector(two_hundred, tmp_path, monkeypatch):
    vectors = []
    for batch_size in (1, 32):
        monkeypatch.setenv("HELPERS_CACHE", str(tmp_path / str(batch_size)))  # each computes its own
        assistant = Assistant(Config(batch_size=batch_size), documents=two_hundred[:12])
        assert assistant.library.batch_size == batch_size
        vectors.append(assistant.library.vectors)
    assert abs(vectors[0] - vectors[1]).max() < 1e-5


def test_knob_max_seq_length_is_how_long_a_question_may_be(ask):
    long = "What is the inverse of " + "a matrix and " * 120 + "nothing?"  # 367 word pieces
    with pytest.raises(ValueError, match="max_seq_length is 256"):
        ask(long, similarity_threshold=1)
    assert ask(long, similarity_threshold=1, max_seq_length=512).text == agent.UNKNOWN


def test_knob_chunk_size_cuts_documents_into_pieces(thirty):
    pieces = {
        size: len(retrieval.Library(thirty, chunk_size=size, overlap=10, bodies=True).texts) for size in (80, 256, 512)
    }
    assert pieces[80] > 2 * pieces[256] > 2 * pieces[512] >= 2 * len(thirty)


def test_knob_chunk_size_reaches_the_assistants_library(two_hundred):
    pieces = [Assistant(Config(chunk_size=size, overlap=5), two_hundred).library.texts for size in (64, 256)]
    assert len(pieces[0]) > len(pieces[1]) == len(two_hundred)


def test_knob_overlap_repeats_text_in_more_pieces(thirty):
    characters = [
        sum(map(len, retrieval.Library(thirty, chunk_size=128, overlap=overlap, bodies=True).texts))
        for overlap in (0, 30, 60)
    ]
    assert characters == sorted(set(characters))


def test_knob_overlap_reaches_the_assistants_library(two_hundred):
    pieces = [Assistant(Config(chunk_size=64, overlap=n), two_hundred).library.texts for n in (0, 20)]
    assert pieces[0] != pieces[1]


@pytest.mark.parametrize("top_k", [1, 3, 5])
def test_knob_top_k_is_how_many_documents_are_found(few, top_k):
    (sources,) = Assistant(Config(top_k=top_k), library=few).retrieve([GENERAL])
    assert len(sources) == top_k


def test_knob_similarity_threshold_leads_to_i_dont_know(ask):
    answer = ask(ALPHA, similarity_threshold=0.99)
    assert (answer.text, answer.tool, answer.sources, answer.prompt) == ("I don't know.", "none", (), "")
    assert answer.notes == ("no document reaches the similarity threshold 0.99",)


def test_knob_method_changes_the_sources(library):
    question = ["Which function inverts what the Fourier transform did?"]
    found = {
        method: Assistant(Config(method=method, top_k=3), library=library).retrieve(question)[0]
        for method in retrieval.METHODS
    }
    assert len({tuple(source.name for source in sources) for sources in found.values()}) == 3


def test_a_lexical_search_needs_no_encoder(ask, monkeypatch):
    monkeypatch.delattr(models, "embed")
    assert ask(ALPHA, method="lexical", similarity_threshold=1).text == agent.UNKNOWN


@pytest.fixture(scope="module")
def looked_up(few):
    """looked_up(question, keyword_threshold) -> what the lookup answers, or "I don't know." without one."""

    def answer(question, keyword_threshold):
        config = Config(keyword_threshold=keyword_threshold, similarity_threshold=1)  # which no document reaches
        return Assistant(config, library=few).ask(question).text

    return answer


def test_knob_keyword_threshold_four_turns_the_lookup_off(looked_up):
    assert [looked_up(ALPHA, threshold) for threshold in (3, 4)] == ["1.0", agent.UNKNOWN]


def test_knob_keyword_threshold_two_is_content_with_an_object_and_a_parameter(looked_up):
    question = "Which alpha does Ridge use?"
    assert [looked_up(question, threshold) for threshold in (2, 3)] == ["1.0", agent.UNKNOWN]


def test_knob_keyword_threshold_one_does_not_answer_without_a_parameter(looked_up):
    assert looked_up("What is the default of Ridge?", 1) == agent.UNKNOWN


def test_knob_tool_timeout_abandons_a_lookup_that_hangs(few, lm, monkeypatch):
    never = threading.Event()
    monkeypatch.setattr(agent, "look_up", lambda question: never.wait(60))
    answer = Assistant(Config(tool_timeout=0.1), library=few, language_model=lm).ask(ALPHA)
    never.set()
    assert (answer.text, answer.tool) == ("1.0", "retrieval")
    assert answer.notes == ("the signature lookup took over 0.1 s and was abandoned",)
    assert 0.1 <= answer.seconds["lookup"] < 5


# the tool


def test_a_call_in_time_returns_or_raises_what_the_tool_does():
    assert agent.in_time(5, max, 1, 2) == 2
    with pytest.raises(ZeroDivisionError):
        agent.in_time(5, lambda: 1 / 0)


def test_a_tool_that_hangs_does_not_keep_python_from_ending():
    never, before = threading.Event(), set(threading.enumerate())
    with pytest.raises(TimeoutError):
        agent.in_time(0.01, never.wait)
    (hanging,) = set(threading.enumerate()) - before
    never.set()
    assert hanging.daemon


@pytest.mark.parametrize(
    ("question", "count"),
    [
        (ALPHA, 3),
        ("What is the default of alpha in Ridge?", 3),
        ("What is Ridge's default alpha?", 3),
        ("Which alpha does Ridge use?", 2),
        ("What is the default of beta in Ridge?", 2),
        ("What is the default of alpha in my function?", 1),
        ("Tell me about sklearn.linear_model.Ridge.", 1),
        ("Why is the sky blue?", 0),
    ],
)
def test_keywords_are_counted(question, count):
    assert keywords(question) == count


@pytest.mark.parametrize("family", corpus.FAMILIES)
def test_the_lookup_answers_every_named_question_and_few_described_ones(family):
    questions = corpus.load_questions(family, "test")
    right = [look_up(question.text) == (question.answer, question.source) for question in questions]
    assert all(right) if family == "named" else sum(right) < 5


def test_a_name_that_two_objects_end_in_is_no_known_object():
    assert look_up("What is the default of n in fft.fft?") is None
    assert look_up("What is the default of n in numpy.fft.fft?") == ("None", "numpy.fft.fft")


def test_another_parameter_is_no_answer():
    assert look_up("What is the default of beta in Ridge, unlike alpha?") is None


# reading


literals = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30)
    | st.text("'\"\\ab ", max_size=8)
).filter(corpus.is_literal)


@given(literals)
def test_any_literal_is_read_as_repr_writes_it(value):
    assert first_literal(f"={value!r}\n") == repr(value)


@given(literals, st.sampled_from([", copy=True)", ")", " and more", "\n"]))
def test_what_follows_a_literal_does_not_matter(value, following):
    assert first_literal(f"={value!r}{following}") == repr(value)


@given(st.text(max_size=20))
def test_what_is_read_is_a_literal(text):
    found = first_literal(f"={text}")
    assert found is None or corpus.is_literal(ast.literal_eval(found)) or len(found) > 30 or "e" in found


@pytest.mark.parametrize("completion", ["", "1.0,", " =1.0,", "=", "=1", "=1.", "=None", "='open", "=Nonesuch,", "=x,"])
def test_what_is_open_or_no_literal_is_not_read(completion):
    assert first_literal(completion) is None


@pytest.mark.parametrize(
    "question",
    [
        "What is the default of alpha in Ridge?",
        "what is the DEFAULT OF alpha in Ridge?",
        "What is the default value of alpha in Ridge?",
        "What is the default for alpha in Ridge?",
        "What is the default value for the parameter alpha in Ridge?",
        "What is the default of the argument `alpha` in Ridge?",
        "In Ridge, what's the default of 'alpha'?",
    ],
)
def test_the_parameter_asked_for_is_read_from_many_phrasings(question):
    assert asked_parameter(question) == "alpha"


@pytest.mark.parametrize("question", [GENERAL, "What does Ridge do by default?", "Does Ridge default to alpha?"])
def test_other_questions_ask_for_no_parameter(question):
    assert asked_parameter(question) is None


@pytest.mark.parametrize("method", retrieval.METHODS)
def test_a_handed_in_embed_gives_the_questions_vectors(few, method):
    asked = []

    def embed(questions):
        asked.append(list(questions))
        return models.embed(questions, keep=False)

    own, plain = (Assistant(Config(method=method, keyword_threshold=4), library=few, embed=e) for e in (embed, None))
    assert own.retrieve([ALPHA]) == plain.retrieve([ALPHA])
    assert asked == ([] if method == "lexical" else [[ALPHA]])
