import dataclasses
import functools
import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from helpers.assistant import agent, cache, corpus

EVERY_QUESTION = [(family, split) for family in corpus.FAMILIES for split in corpus.SPLITS]


@pytest.fixture(scope="module")
def described():
    return [question for split in corpus.SPLITS for question in corpus.load_questions("described", split)]


@pytest.fixture(scope="module", autouse=True)
def build_elsewhere():
    """Another process, which builds the corpus anew while the tests here run."""
    script = """if True:
        import torch, scipy.special  # an order of imports that is not the corpus's own
        from dataclasses import asdict
        from helpers.assistant import cache, corpus
        print(cache.digest([asdict(document) for document in corpus.read_documents()]))"""
    command = [sys.executable, "-W", "ignore", "-c", script]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONHASHSEED": "7"}, stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.wait()


def content(documents):
    return cache.digest([dataclasses.asdict(document) for document in documents])


@functools.cache
def installed(name):
    """The object of a qualified name, from the library itself."""
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:end]))
        except ImportError:
            continue
        return functools.reduce(getattr, parts[end:], module)
    raise LookupError(name)


# documents


def test_there_are_about_6200_documents(documents):
    assert 5_900 < len(documents) < 6_700


def test_every_library_has_its_share(documents):
    assert min(Counter(document.library for document in documents).values()) > 800


def test_names_are_unique_and_sorted(documents):
    names = [document.name for document in documents]
    assert names == sorted(set(names))


def test_no_name_is_private(documents):
    assert not [document.name for document in documents if re.search(r"(^|\.)_", document.name)]


def test_excluded_modules_are_absent(documents):
    excluded = ("numpy.distutils", "sklearn.externals", "torch.ao", "torch.fx")
    assert not [document.name for document in documents if document.name.startswith(excluded)]


def test_no_two_documents_of_a_library_say_the_same(documents):
    same = Counter((d.library, d.summary, d.body, d.held_out) for d in documents)
    assert max(same.values()) == 1


def test_a_known_document_reads_as_it_should():
    document = corpus.by_name()["sklearn.linear_model.Ridge"]
    first_line, summary = document.text.split("\n")
    assert first_line.startswith("sklearn.linear_model.Ridge(alpha=1.0, *, fit_intercept=True")
    assert summary == "Linear least squares with l2 regularization."
    assert (document.library, document.kind) == ("sklearn", "class")
    assert dict(document.defaults)["tol"] == "0.0001"


def test_a_group_is_a_class_with_its_methods_or_the_functions_of_a_module():
    names = ("pandas.DataFrame.merge", "pandas.DataFrame", "numpy.sinc")
    assert [corpus.by_name()[name].group for name in names] == ["pandas.DataFrame", "pandas.DataFrame", "numpy"]


def test_documents_are_what_the_installed_objects_say(documents):
    for document in documents[::50]:
        words = " ".join((inspect.getdoc(installed(document.name)) or "").split()).replace("`", "")
        plain = [word for word in document.summary.split() if word.isalpha()]
        assert all(word in words for word in plain), document.name


def test_the_held_out_sentence_is_never_indexed(documents):
    held_out = [document for document in documents if document.held_out]
    assert len(held_out) > 2_000
    assert not [d.name for d in held_out if d.held_out in d.text or d.held_out in d.body]


def test_a_held_out_sentence_is_said_of_one_object(documents):
    assert max(Counter(document.held_out for document in documents if document.held_out).values()) == 1


def test_a_fresh_build_equals_the_kept_one(documents):
    assert content(corpus.read_documents()) == content(documents)


def test_a_signature_shows_its_literals_and_stars():
    def example(self, a, b=0.5, *, c="x", d=print, _hidden=1, **rest):
        pass

    assert corpus._signature(example) == ("(a, b=0.5, *, c='x', d=print, **rest)", (("b", "0.5"), ("c", "'x'")))


# questions


@pytest.mark.parametrize(("family", "split"), EVERY_QUESTION)
def test_each_split_has_its_size_and_half_of_the_answers_are_usual(family, split):
    questions = corpus.load_questions(family, split)
    assert len(questions) == corpus.SPLITS[split]
    assert sum(question.usual for question in questions) == len(questions) // 2


def test_splits_share_no_source_object():
    development, test = ({q.source for q in corpus.load_questions("named", split)} for split in corpus.SPLITS)
    assert not development & test
    assert (len(development), len(test)) == (150, 300)


@pytest.mark.parametrize("split", corpus.SPLITS)
def test_the_families_ask_for_the_same_in_the_same_order(split):
    named, described = (
        [(q.source, q.parameter, q.answer, q.usual) for q in corpus.load_questions(family, split)]
        for family in ("named", "described")
    )
    assert named == described


def test_every_answer_is_what_the_signature_says_here_and_now(described):
    for question in described:
        default = inspect.signature(installed(question.source)).parameters[question.parameter].default
        assert repr(default) == question.answer, question.source


def test_every_answer_can_be_read_from_a_completion(described):
    assert not [q.answer for q in described if agent.first_literal(f"={q.answer}\n") != q.answer]


def test_every_question_asks_for_its_parameter():
    for family, split in EVERY_QUESTION:
        for question in corpus.load_questions(family, split):
            assert agent.asked_parameter(question.text) == question.parameter


def test_usual_means_the_commonest_default_elsewhere(documents, described):
    for question in described[::20]:
        elsewhere = [
            default
            for document in documents
            if document.name != question.source
            for parameter, default in document.defaults
            if parameter == question.parameter
        ]
        counts = Counter(elsewhere)
        commonest = [d for d, count in counts.items() if count == max(counts.values())] or ["None"]
        assert question.usual == (corpus.usual_default(question.parameter, question.source) == question.answer)
        assert corpus.usual_default(question.parameter, question.source) in commonest


def test_a_described_question_does_not_name_its_object(described):
    for question in described:
        sentence = question.text.partition("of which is said: ")[2]
        for name in question.source.split("."):
            assert not re.search(rf"\b{name}\b", sentence, re.IGNORECASE), (question.source, sentence)


def test_a_described_question_names_no_library(described):
    sentences = [question.text.partition("of which is said: ")[2] for question in described]
    assert not [sentence for sentence in sentences if corpus.LIBRARY_NAME.search(sentence)]


def test_masking_leaves_other_words_whole():
    document = dataclasses.replace(
        corpus.by_name()["numpy.ma.power"], held_out="The masked Power of np.power, with powers and an input."
    )
    assert corpus.masked(document) == "The masked … of ….…, with powers and an input."


def test_no_question_asks_for_a_parameter_of_the_example(described):
    of_example = set(re.findall(r"(\w+)=", agent.EXAMPLE))
    assert of_example == {"temperature_c", "minutes", "rack", "oven"}
    assert not [question.text for question in described if question.parameter in of_example]


def test_no_answer_is_a_value_of_the_example(described):
    assert not [question.text for question in described if question.answer in {"180", "35", "'middle'"}]


@pytest.mark.parametrize(("family", "split"), [("Named", "test"), ("named", "train"), ("", "test")])
def test_an_unknown_family_or_split_names_the_known(family, split):
    with pytest.raises(ValueError, match="must be one of (named, described|development, test), got"):
        corpus.load_questions(family, split)


@pytest.mark.parametrize("value", [None, True, 0, -3, 1e-5, "auto", 'in "quotes"', "it's"])
def test_a_literal_can_be_asked_for(value):
    assert corpus.is_literal(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "two\nlines", "x" * 31, (), 1j, b"", np.float64(1)])
def test_what_is_no_literal_cannot(value):
    assert not corpus.is_literal(value)


# labels


def test_library_labels_are_balanced():
    labelled = corpus.library_labels()
    assert Counter(labelled.labels) == dict.fromkeys(range(5), 600)
    assert len(labelled) == 3_000
    assert all(labelled.classes[label] == library for label, library in zip(labelled.labels, labelled.libraries))


def test_guessing_a_library_is_right_once_in_five():
    from sklearn.dummy import DummyClassifier

    labelled = corpus.library_labels()
    majority = DummyClassifier().fit(labelled.texts, labelled.labels)
    assert majority.score(labelled.texts, labelled.labels) == pytest.approx(0.2)


@pytest.mark.parametrize("labels", [corpus.library_labels, corpus.topic_labels])
def test_texts_are_distinct_and_name_no_library(labels):
    texts = labels().texts
    assert len(set(texts)) == len(texts)
    assert not [text for text in texts if re.search(r"numpy|scipy|pandas|sklearn|torch|\b(np|pd)\b", text, re.I)]


@pytest.mark.parametrize("labels", [corpus.library_labels, corpus.topic_labels])
def test_groups_are_those_of_the_sources(labels):
    labelled = labels()
    assert labelled.groups == tuple(corpus.by_name()[source].group for source in labelled.sources)
    assert len(set(labelled.groups)) > 5


@pytest.mark.parametrize("labels", [corpus.library_labels, corpus.topic_labels])
def test_labels_can_be_learnt_from_texts_of_other_groups(labels):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import SGDClassifier
    from sklearn.model_selection import GroupKFold, cross_val_score
    from sklearn.pipeline import make_pipeline

    labelled = labels()
    model = make_pipeline(TfidfVectorizer(), SGDClassifier(random_state=0))
    scores = cross_val_score(model, labelled.texts, labelled.labels, groups=labelled.groups, cv=GroupKFold(3))
    assert scores.mean() > 0.45


def test_a_library_can_be_held_out_of_the_topics():
    topics = corpus.topic_labels()
    for held_out in ("scipy", "torch"):
        inside = Counter(t for t, library in zip(topics.labels, topics.libraries) if library != held_out)
        outside = Counter(t for t, library in zip(topics.labels, topics.libraries) if library == held_out)
        assert set(inside) == set(outside) == set(range(5))


def test_a_topic_is_its_module():
    topics = corpus.topic_labels()
    for label, source in zip(topics.labels, topics.sources):
        assert source.startswith(corpus.TOPICS[topics.classes[label]])


def test_another_seed_draws_other_texts():
    first, second = corpus.library_labels(50, seed=0), corpus.library_labels(50, seed=1)
    assert first == corpus.library_labels(50, seed=0)
    assert set(first.texts) != set(second.texts)


@pytest.mark.parametrize("size", [0, -1, 100_000])
def test_too_many_or_too_few_texts_are_refused(size):
    with pytest.raises(ValueError, match=f"per_library must be from 1 to .* got {size}"):
        corpus.library_labels(size)


def test_topics_need_at_least_one_text():
    with pytest.raises(ValueError, match="most_per_topic_and_library must be at least 1, got 0"):
        corpus.topic_labels(0)


# versions


def test_the_locked_versions_give_the_corpus_of_the_course():
    course = {name: found["version"] for name, found in json.loads(corpus.FINGERPRINT.read_text()).items()}
    if corpus.versions() != course and not os.environ.get("CI"):
        pytest.skip(f"other versions are installed: {corpus.versions()}")
    assert corpus.changes() == []


def test_another_version_of_a_library_is_named(tmp_path, monkeypatch):
    course = json.loads(corpus.FINGERPRINT.read_text())
    course = {**corpus.fingerprint(), "scipy": {**course["scipy"], "version": "1.16.0", "digest": "another"}}
    monkeypatch.setattr(corpus, "FINGERPRINT", tmp_path / "edited.json")
    corpus.FINGERPRINT.write_text(json.dumps(course))
    (sentence,) = corpus.changes()
    assert sentence.startswith(f"scipy {corpus.versions()['scipy']} gives 1,")
    assert "the course was measured with scipy 1.16.0" in sentence


def test_a_missing_library_is_named_with_its_mend(monkeypatch):
    monkeypatch.setitem(corpus.DISTRIBUTION, "sklearn", "scikit-unlearn")
    with pytest.raises(ImportError, match="scikit-unlearn is not installed: .*pip install scikit-unlearn"):
        corpus.versions()


def test_another_process_builds_the_same_corpus(build_elsewhere, documents):
    output, _ = build_elsewhere.communicate(timeout=120)
    assert output.strip() == content(documents)
