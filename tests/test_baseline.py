"""The assistant before anybody improves it: what each context gives the model, and what must hold between them."""

import numpy as np
import pytest

from helpers import baseline
from helpers.assistant import corpus


def test_half_of_the_answers_are_the_usual_default():
    for family in corpus.FAMILIES:
        for split in corpus.SPLITS:
            assert baseline.guess_right(family, split).mean() == 0.5


def test_closed_book_prompts_hold_no_document_and_the_others_hold_one():
    documents = [corpus.by_name()[q.source].text for q in corpus.load_questions("described", "development")]
    closed, given = (baseline.prompts(c, "described", "development") for c in ("closed book", "right document"))
    assert not any(document in prompt for document, prompt in zip(documents, closed))
    assert all(document in prompt for document, prompt in zip(documents, given))


def test_found_documents_are_ranked_for_every_question():
    found, right = baseline.found("named", "development", "lexical")
    assert found.shape == (150, 10)
    assert right.shape == (150,)
    assert (found[:, 0] == right).mean() > 0.9


def test_reading_the_right_document_beats_the_found_one_and_both_beat_closed_book():
    mean = {
        context: baseline.expected(context, "described").accuracy(temperature=0)
        for context in ("closed book", "fused", "right document")
    }
    assert mean["closed book"] < mean["fused"] < mean["right document"]


def test_finding_the_document_is_what_makes_the_difference():
    found, right = baseline.found("described", "development", "fused")
    answered = baseline.expected("fused", "described").probabilities(0)
    same = baseline.expected("right document", "described").probabilities(0)
    hit = found[:, 0] == right
    np.testing.assert_array_equal(answered[hit], same[hit])


def test_an_unknown_context_is_named():
    with pytest.raises(ValueError, match="context must be one of closed book, lexical, dense, fused, right document"):
        baseline.prompts("open book", "named", "development")
