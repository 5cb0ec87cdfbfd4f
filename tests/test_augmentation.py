import dataclasses
import json

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from helpers import evaluation
from helpers.augmentation import (
    __main__,
    augmenters,
    effects,
    indexing,
    leakage,
    paraphrase,
    recorded,
    sentences,
    texts,
    translate,
    trying,
)
from helpers.augmentation.gate import gate

needs_apertium = pytest.mark.skipif(bool(translate.apertium_missing()), reason=translate.apertium_missing() or "there")
BY_RULE = ["guide's subset", *effects.BY_RULE]
AWKWARD = [
    "no full stop here",
    "日本語の文章。次の文。",
    "Привет мир. Как дела?",
    "a",
    "x" * 10_000,
    "word " * 2_000,
    "[x]^2 <a> @b / \\c ${y}$ is 0.5.\n\nA new paragraph.\tTab.",
    "...",
]


def source(text, name="s", label=0):
    return texts.Source(name, text, label, "g")


# ---- sentences


def test_a_full_stop_within_a_name_or_number_ends_no_sentence():
    text = "The value is 3.14, e.g. np.array. Load it from a.npy where x != y holds. See https://a.b/c.html."
    assert sentences.sentences(text) == [
        "The value is 3.14, e.g. np.array.",
        "Load it from a.npy where x != y holds.",
        "See https://a.b/c.html.",
    ]
    assert len(["3", "14 e", "g", " np", "array"]) == 5


def test_the_guides_subset_of_one_sentence_without_a_full_stop_is_empty():
    assert sentences.guide_subset("Return the mean") == ""
    assert sentences.guide_subset("One. Two. Three.") == "One.  Two"
    assert sentences.sentences("") == sentences.sentences("  \n ") == []


# ---- documents


def test_documents_have_two_sentences_and_name_no_library():
    from helpers.assistant import corpus

    sources = texts.load_sources()
    assert len({s.text for s in sources}) == len(sources) == len({s.name for s in sources})
    for one in sources:
        assert len(one.text.split()) <= texts.MOST_WORDS and not corpus.LIBRARY_NAME.search(one.text)


def test_splits_share_no_group():
    splits = texts.load_splits()
    test = splits.test.open("to test the splits")
    groups = [{s.group for s in part} for part in (splits.pool, splits.validation, test)]
    assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
    assert len(splits.pool) >= effects.TRAINED_ON
    assert len(splits.pool) + len(splits.validation) + len(test) == len(texts.load_sources())


# ---- augmenters


@pytest.mark.parametrize("method", [*BY_RULE, pytest.param("back-translation", marks=needs_apertium)])
def test_no_text_crashes_and_no_variant_is_empty(method):
    sources = [source(text, str(i)) for i, text in enumerate([*AWKWARD, "", " \n"])]
    variants = augmenters.augment(sources, method)
    assert [v.source for v in variants] == [s.name for s in sources[: len(AWKWARD)]]
    assert all(v.text.strip() and v.method == method for v in variants)
    assert augmenters.augment([], method) == []


@pytest.mark.parametrize("awkward", [[*AWKWARD[:4], *AWKWARD[-2:], ""], ["word " * 2_000]], ids=["short", "long"])
def test_the_language_model_neither_crashes_nor_leaves_a_variant_empty(awkward):
    variants = augmenters.augment([source(text) for text in awkward], "paraphrase")
    assert len(variants) == sum(bool(text) for text in awkward)
    assert all(v.text.strip() for v in variants)


@pytest.mark.parametrize("method", BY_RULE[1:])
def test_the_same_seed_gives_the_same_variant_whatever_stands_beside_it(method):
    pool = texts.load_splits().pool[:40]
    once = [v.text for v in augmenters.augment(pool, method, seed=3)]
    assert once == [v.text for v in augmenters.augment(pool, method, seed=3)]
    assert once[20:] == [v.text for v in augmenters.augment(pool[20:], method, seed=3)]
    others = [v.text for v in augmenters.augment(pool, method, seed=4)]
    assert (once == others) == (method == "first half")


def test_a_half_is_made_of_the_texts_own_sentences():
    text = "One is here. Two is here. Three is here. Four is here."
    assert augmenters.first_half([text]) == ["One is here. Two is here."]
    halves = {augmenters.random_half([text], seed)[0] for seed in range(40)}
    assert halves == {"One is here. Two is here.", "Two is here. Three is here.", "Three is here. Four is here."}


def test_word_edits_change_a_tenth_of_the_words():
    rng, words = np.random.default_rng(0), [f"w{i}" for i in range(20)]
    assert sorted(augmenters.swap_words(words, rng)) == sorted(words) != augmenters.swap_words(words, rng)
    assert len(augmenters.delete_words(words, rng)) == 18 and augmenters.delete_words(["one"], rng) == ["one"]
    assert len(augmenters.insert_words(words, rng)) == 22
    sentence = ["compute", "the", "matrix", "product", "quickly"]
    replaced = augmenters.replace_words(sentence, rng)
    assert len(replaced) == 5 and sum(a != b for a, b in zip(replaced, sentence)) == 1
    assert augmenters.swap_words([], rng) == augmenters.insert_words([], rng) == []


def test_neighbours_are_other_words_alike_in_meaning():
    near = {augmenters.neighbour("maximum", np.random.default_rng(seed)) for seed in range(20)}
    assert "maximum" not in near and near & {"minimum", "max", "maximal", "greatest", "highest", "largest"}
    assert augmenters.neighbour("qqqq", np.random.default_rng(0)) == "qqqq"


def test_corrupt_identifiers_spoils_only_identifiers():
    spoiled = augmenters.corrupt_identifiers(["What is tol in sklearn.linear_model.Ridge and MultiIndex?"])[0]
    assert spoiled.startswith("What is tol in ") and spoiled.endswith("?")
    assert "linear_model" not in spoiled and "MultiIndex" not in spoiled


def test_kept_names_counts_identifiers_and_numbers():
    text = "Set fill_value to 0.5 in MultiIndex, see np.linalg.norm."
    assert augmenters.kept_names(text, text) == 1
    assert augmenters.kept_names(text, "Set fill_value to 0.5") == 0.5
    assert augmenters.kept_names("No such word.", "x") is None


def test_a_method_is_a_name_or_a_function():
    with pytest.raises(ValueError, match="method must be one of .*or a function; got 'magic'"):
        augmenters.augment([], "magic")

    def upper(written, seed):
        return [text.upper() for text in written]

    assert augmenters.augment([source("a b")], upper)[0] == augmenters.Variant("A B", "s", 0, "upper")


def test_noise_and_mixup():
    vectors = np.eye(4, 10, dtype=np.float32)
    moved = augmenters.noise(vectors, 0.3)
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 1, rtol=1e-6)
    assert 0.85 < (moved * vectors).sum(axis=1).min() < 0.999 and (moved == augmenters.noise(vectors, 0.3)).all()
    mixed, targets = augmenters.mixup(np.eye(20, 30), np.eye(20), seed=1)
    np.testing.assert_allclose(mixed[:, :20], targets, atol=1e-6)  # both by the same shares
    np.testing.assert_allclose(targets.sum(axis=1), 1)
    assert (targets.max(axis=1) < 1).any()


# ---- translators


@needs_apertium
def test_apertium_translates_each_text_on_its_own():
    apertium, written = (
        translate.Apertium(),
        ["The house is red", "The dog sleeps", "I have", "no friends. Two [cats]."],
    )
    together = apertium(written, "eng", "spa")
    assert together == [apertium([text], "eng", "spa")[0] for text in written]
    assert "casa" in together[0] and apertium([], "eng", "spa") == []


def test_without_apertium_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(translate.TranslatorMissing, match="not installed: apt-get install apertium apertium-eng-spa"):
        augmenters.augment([source("The house.")], "back-translation")
    material = effects.Material(small(texts.load_splits()))
    assert "back-translation" not in material.variants and "apt-get" in material.missing
    found = effects.compare(
        material, ["duplication", "the guide's four"], material.rows(material.sources[:9]), range(2), 20
    )
    assert list(found) == ["duplication"]
    tried = trying.try_all("The house.", methods=("first half", "back-translation"))
    assert tried[1].text == "" and "apt-get install" in tried[1].reason


@pytest.fixture(scope="module")
def tiny_marian(tmp_path_factory):
    "A Marian with random weights and a vocabulary learned here, saved as the Hub's are."
    import sentencepiece
    from transformers import MarianConfig, MarianMTModel, MarianTokenizer

    folder = tmp_path_factory.mktemp("marian")
    (folder / "text").write_text("\n".join(s.text for s in texts.load_sources()[:200]), "utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text"), model_prefix=str(folder / "source"), vocab_size=200, minloglevel=2
    )
    (folder / "target.spm").write_bytes((folder / "source.model").read_bytes())
    (folder / "source.model").rename(folder / "source.spm")
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "source.spm"))
    vocabulary = ["</s>", "<unk>", *(pieces.id_to_piece(i) for i in range(3, pieces.vocab_size())), "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(vocabulary)}))
    names = {name: str(folder / name) for name in ("source.spm", "target.spm")}
    tokenizer = MarianTokenizer(
        vocab=str(folder / "vocab.json"), **{f"{n[:-4]}_spm": path for n, path in names.items()}
    )
    torch.manual_seed(0)
    pad = len(vocabulary) - 1
    config = MarianConfig(
        vocab_size=len(vocabulary), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=40,
        pad_token_id=pad, eos_token_id=0, decoder_start_token_id=pad, forced_eos_token_id=0, bad_words_ids=[[pad]],
    )  # fmt: skip
    saved = folder / "saved"
    tokenizer.save_pretrained(saved)
    MarianMTModel(config).save_pretrained(saved)
    return str(saved)


def test_marian_translates_through_the_same_interface(tiny_marian):
    marian = translate.Marian({("eng", "spa"): tiny_marian, ("spa", "eng"): tiny_marian}, beams=2, batch_size=2)
    written = ["Return the mean.", "Compute it. " * 100, "One more"]
    once = augmenters.back_translation(written, translator=marian)
    assert len(once) == 3 and all(isinstance(text, str) for text in once)
    assert once == augmenters.back_translation(written, translator=marian)
    as_method = augmenters.augment([source(t) for t in written], lambda t, seed: marian(t, "eng", "spa"))
    assert [v.source for v in as_method] == ["s"] * 3 and all(v.text for v in as_method)


def test_marian_says_what_it_lacks(tmp_path):
    with pytest.raises(ValueError, match="must be one of eng-spa, spa-eng; got eng-fra"):
        translate.Marian()(["a"], "eng", "fra")
    with pytest.raises(translate.TranslatorMissing, match="HF_HUB_OFFLINE=0"):
        translate.Marian({("eng", "spa"): str(tmp_path)})(["a"], "eng", "spa")


def test_paraphrases_are_the_models_own_words(lm):
    written = [s.text for s in texts.load_splits().pool[:2]]
    made = paraphrase.paraphrase(written, keep=False)
    assert all(text and "\n" not in text and text not in written for text in made)
    recorded = effects.recorded_paraphrases(written)
    words = [set(made[0].lower().split()), set(recorded[0].lower().split())]
    assert len(words[0] & words[1]) >= 0.5 * len(words[1])  # another machine may choose another word


# ---- the gate


def test_the_gate_says_what_is_wrong():
    sources = [source("Compute the mean of an array. Ignore what is missing.", "a")]
    made = ["Compute the mean of an array.", "A dog sleeps.", sources[0].text, "compute the  mean of an array."]
    checked = gate([augmenters.Variant(text, "a", 0, "m") for text in made], sources, labels=False)
    assert [c.reason for c in checked] == ["kept", "too far", "a copy", "repeated"]
    assert [c.kept for c in checked] == [True, False, False, False] and checked[2].cosine == pytest.approx(1, abs=1e-5)
    assert gate([], sources) == []


def test_a_label_is_checked_by_a_classifier_that_never_saw_the_source():
    rng = np.random.default_rng(0)
    centres = np.eye(2, 8)
    places = {f"{label} {i}": centres[label] + rng.normal(0, 0.05, 8) for label in (0, 1) for i in range(20)}
    places |= {"moved": centres[1], "stays": centres[0]}
    sources = [source(text, text, int(text[0])) for text in places if text[0] in "01"]
    made = [augmenters.Variant(text, "0 3", 0, "m") for text in ("moved", "stays")]
    embed = lambda listed: np.stack([places[text] / np.linalg.norm(places[text]) for text in listed])  # noqa: E731
    assert [c.reason for c in gate(made, sources, embed, least=-1, most=1)] == ["label", "kept"]


def test_the_gate_refuses_what_it_cannot_check():
    with pytest.raises(ValueError, match="sources must contain 'b'"):
        gate([augmenters.Variant("x", "b", 0, "m")], [source("x", "a")])
    with pytest.raises(ValueError, match="least must be below most"):
        gate([], [], least=0.9, most=0.1)


# ---- effects


def small(splits):
    return dataclasses.replace(splits, pool=splits.pool[:60])


@pytest.fixture(scope="module")
def material():
    splits = small(texts.load_splits())
    return effects.Material(splits)


def test_fit_path_equals_scikit_learn_and_repeated_rows_change_nothing(material):
    rows = material.rows(material.sources)
    head = effects.fit_path(rows.vectors, rows.targets, (1e-2,), tolerance=1e-8)[0]
    labels = rows.targets.argmax(axis=1)
    theirs = LogisticRegression(C=1 / (1e-2 * len(rows)), tol=1e-8, max_iter=1000).fit(rows.vectors, labels)
    ours = np.exp(head.log_probabilities(rows.vectors))[:, theirs.classes_]
    np.testing.assert_allclose(ours, theirs.predict_proba(rows.vectors), atol=1e-4)
    four = effects.fit_path(np.tile(rows.vectors, (4, 1)), np.tile(rows.targets, (4, 1)), (1e-2,), tolerance=1e-8)[0]
    np.testing.assert_allclose(four.weights, head.weights, atol=1e-3)


def test_soft_targets_are_shares_of_a_row(material):
    rows = material.rows(material.sources)
    uniform = np.full_like(rows.targets, 1 / effects.CLASSES)
    head = effects.fit_path(rows.vectors, uniform, (1e-2,))[0]
    np.testing.assert_allclose(np.exp(head.log_probabilities(rows.vectors)), uniform, atol=1e-3)
    with pytest.raises(ValueError, match="penalties must be above 0, got 0"):
        effects.fit_path(rows.vectors, rows.targets, (0, 1))


def test_a_class_without_rows_is_never_answered(material):
    rows = material.rows([s for s in material.sources if s.label < 3])
    head = effects.fit_path(rows.vectors, rows.targets, (1e-2,))[0]
    assert np.exp(head.log_probabilities(rows.vectors))[:, 3:].max() < 1e-6


@pytest.mark.parametrize(
    "arm", [a for a in effects.ARMS if "guide" not in a and a not in ("new documents", "back-translation")]
)
def test_each_arm_doubles_the_rows_and_keeps_sources_and_labels(material, arm):
    block = np.arange(20)
    own, rows = material.rows([material.sources[i] for i in block]), material.arm(arm, block)
    assert len(rows) == 2 * len(block) == len(rows.texts) == len(rows.sources)
    assert rows.sources == own.sources * 2
    np.testing.assert_allclose(rows.targets.sum(axis=1), 1)
    if arm != "mixup":
        assert (rows.targets == np.tile(own.targets, (2, 1))).all()


@needs_apertium
def test_the_guides_four_techniques_make_five_rows_a_document(material):
    block = np.arange(20)
    assert len(material.arm("the guide's four", block)) == 100
    gated = material.arm("the guide's four, gated", block)
    kept = [c.variant.text for c in material.checked(block) if c.kept]
    assert gated.texts == tuple(s.text for s in material.sources[:20]) + tuple(kept) and 20 < len(gated) < 100


def test_related_documents_are_never_the_document_itself(material):
    block = np.arange(len(material.sources))
    for own, other in zip(material.sources, material.related(block), strict=True):
        assert other.source == own.name and other.label == own.label and other.text != own.text


def test_new_documents_are_none_of_the_block():
    material = effects.load_material()
    rows = material.arm("new documents", material.block(9))
    assert len(set(rows.sources)) == 200 and rows.sources[:100] == tuple(s.name for s in material.sources[900:])
    blocks = [set(material.block(seed).tolist()) for seed in range(10)]
    assert sum(map(len, blocks)) == len(set.union(*blocks)) == 1000


def test_validation_chooses_the_penalty_and_the_test_does_not(material):
    test, penalties = material.rows(material.sources[40:]), (1e3, 1e-3)
    found = effects.compare(material, ["duplication", "noise"], test, range(2), 30, penalties=penalties)
    assert {one.penalty for one in found.values()} == {1e-3}
    upside_down = dataclasses.replace(test, targets=np.roll(test.targets, 1, axis=1))
    wrong = effects.compare(material, ["duplication"], upside_down, range(2), 30, penalties=penalties)
    assert wrong["duplication"].penalty == 1e-3 and wrong["duplication"].log_loss.mean() > 1.6
    effect = found["noise"].effect(found["duplication"])
    assert effect.low <= effect.estimate <= effect.high


def test_tf_idf_sees_only_the_training_rows(material):
    training, test = material.rows(material.sources[:10]), material.rows(material.sources[10:])
    x, (held_out,) = effects.features(training, [test], "TF-IDF")
    assert x.shape[1] == held_out.shape[1] and x.shape[0] == 10
    with pytest.raises(ValueError, match="representation must be 'embeddings' or 'TF-IDF', got 'words'"):
        effects.features(training, [test], "words")
    with pytest.raises(ValueError, match="name must be one of duplication.*got 'magic'"):
        material.arm("magic", np.arange(3))


def test_copies_are_worth_nothing_and_independent_rows_all(material):
    x = np.random.default_rng(0).normal(size=(4, 200, 30))
    assert effects.intraclass_correlation(x) == pytest.approx(0, abs=0.02)
    copies = np.repeat(x[:1], 4, axis=0)
    assert effects.intraclass_correlation(copies) == pytest.approx(1)
    assert effects.effective_rows(100, 5, 1) == 100 and effects.effective_rows(100, 5, 0) == 500
    with pytest.raises(ValueError, match="at least two rows of two sources, got 1 of 200"):
        effects.intraclass_correlation(x[:1])


def test_a_loss_is_read_off_the_learning_curve():
    assert effects.equivalent_documents([50, 100, 200], [1.2, 1.0, 0.8], 1.0) == pytest.approx(100)
    assert effects.equivalent_documents([50, 100, 200], [1.2, 1.0, 0.8], 0.9) == pytest.approx(np.sqrt(2) * 100)
    with pytest.raises(ValueError, match="losses must fall"):
        effects.equivalent_documents([50, 100], [1.0, 1.1], 1.0)


def test_recorded_effects_are_paired_differences():
    effects_of = recorded.recorded_effects()
    assert recorded.contrast("word edits", "duplication")["TF-IDF, 300"] == effects_of["TF-IDF, 300"]["word edits"]
    up, down = evaluation.Interval(1, 0.5, 2), evaluation.Interval(-1, -2, -0.5)
    assert recorded.counted([{"noise": up, "mixup": down, "related documents": down, "new documents": down}]) == (
        2,
        1,
        1,
    )


# ---- leakage


def test_labels_without_meaning_are_learned_only_through_the_leak(material):
    block, methods = np.arange(60), ("first half", "word edits")
    labels = leakage.shuffled(material, block, 0)
    read = {p: leakage.cross_validated(material, block, methods, p, labels) for p in leakage.PROTOCOLS}
    assert read["augment, then split"] > 0.6 > 0.45 > max(list(read.values())[1:])
    with pytest.raises(ValueError, match="protocol must be one of.*got 'hope'"):
        leakage.cross_validated(material, block, methods, "hope")


# ---- the index


def test_an_index_row_counts_once_or_as_often_as_it_stands_there():
    index = indexing.Index(("a", "a*", "b"), np.eye(3, dtype=np.float32)[[0, 0, 1]], np.array([7, 7, 8]))
    query = np.array([[1.0, 0.5, 0.0]])
    assert index.search(query, 2, deduplicate=False).tolist() == [[7, 7]]
    assert index.search(query, 2, deduplicate=True).tolist() == [[7, 8]]
    assert indexing.distinct(np.array([[7, 7], [7, 8]])).tolist() == [1, 2]
    assert len(index + index) == 6
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        index.search(query, 0, deduplicate=True)


def test_highlights_add_only_asterisks_and_summaries_only_sentences_of_the_body(documents):
    few = documents[:30]
    for document, words in zip(few, indexing.key_words(few), strict=True):
        marked = indexing.highlight(document.text, words)
        assert marked.replace("**", "") == document.text.replace("**", "")
        assert set(indexing.summary(document).split()) <= set(document.body.split())
    with pytest.raises(ValueError, match="kind must be one of highlights"):
        indexing.variants(few, "angles")


def test_related_documents_vary_in_number_and_are_never_the_document_itself():
    vectors = np.array([[1, 0], [0.9, np.sqrt(0.19)], [0, 1]])
    assert indexing.related(vectors) == [[1], [0], []]


# ---- trying, terminal


def test_trying_one_text_shows_every_method():
    tried = trying.try_all("Return the mean. Ignore NaN.", methods=("first half", "word edits"))
    assert [t.method for t in tried] == ["first half", "word edits"] and tried[0].text == "Return the mean."
    with pytest.raises(ValueError, match="text is empty"):
        trying.try_all("  ")


def test_the_widget_escapes_what_is_typed():
    shown = trying.widget("Use <b>this</b>. And that.", methods=("first half",))
    assert "&lt;b&gt;" in shown.children[-1].value and "<b>this" not in shown.children[-1].value
    shown.children[0].value = " "
    shown.children[2].click()
    assert "text is empty" in shown.children[-1].value


def test_the_terminal_prints_effects(capsys, monkeypatch):
    monkeypatch.setattr(__main__, "ARMS", ("duplication", "word edits"))
    __main__.main(["--size", "20", "--seeds", "2"])
    printed = capsys.readouterr().out
    assert "minus duplication" in printed and "word edits" in printed and "40" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "1"], "--seeds must be from 2 to 10, got 1"),
        (["--size", "5000"], "--size must be from 20 to 900, got 5000"),
        (["--text", " "], "--text is empty"),
    ],
)
def test_the_terminal_refuses_what_cannot_be(arguments, message, capsys):
    with pytest.raises(SystemExit):
        __main__.main(arguments)
    assert message in capsys.readouterr().err
