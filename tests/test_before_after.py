from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from helpers import baseline
from helpers.assistant import GUIDE, corpus
from helpers.before_after import ablation, classifier, controls, figures, recorded, serving, system
from helpers.before_after.__main__ import main
from helpers.course import results

DESCRIBED, NAMED = (corpus.load_questions(family, "development") for family in ("described", "named"))


# the system


def test_the_empty_plan_is_the_guides_configuration():
    as_released = {"max_seq_length": 256, "chunk_size": 256, "max_tokens": 64}
    assert system.config_of(()) == replace(GUIDE, **as_released, keyword_threshold=system.NO_LOOKUP)


@pytest.mark.parametrize(
    "use", [system.checked, system.config_of, system.Search, lambda plan: ablation.in_order(sorted(plan))]
)
def test_a_step_that_does_not_exist_is_named(use):
    with pytest.raises(ValueError, match="unknown step 'dropout'; the steps are greedy"):
        use({"greedy", "dropout"})


@pytest.mark.parametrize(
    ("question", "stated"),
    [
        ('What is the default of method in the class of which is said: "A function of x."', ("method", "class")),
        ("What is the default of function in numpy.vectorize?", ("function", None)),
        ("Which class fits a line?", (None, None)),
    ],
)
def test_facts_are_what_the_question_states_outside_its_quotation(question, stated):
    assert system.facts(question) == stated


def test_a_quotation_is_searched_for_alone_and_a_question_without_one_whole():
    assert system.quotation('What is said: "A line."') == "A line."
    assert system.quotation("What fits a line?") == "What fits a line?"


def test_with_facts_every_document_found_has_the_parameter_and_the_kind():
    documents = baseline.library().documents
    for row, question in zip(system.found(frozenset({"words", "facts"}), DESCRIBED[:20], k=3), DESCRIBED, strict=False):
        parameter, kind = system.facts(question.text)
        found = [documents[i] for i in row if i >= 0]
        assert found and all(parameter in dict(d.defaults) and d.kind == kind for d in found)


def test_facts_that_no_document_fits_are_ignored():
    misspelt = [DESCRIBED[0].text.replace(f"of {DESCRIBED[0].parameter} in", "of toll_of_the_bell in")]
    with_facts, without = (system.Search(plan).search(misspelt, 3) for plan in ({"words", "facts"}, {"words"}))
    assert (with_facts.documents == without.documents).all()


def test_no_index_holds_the_sentence_that_a_question_quotes():
    for question in DESCRIBED:
        document = corpus.by_name()[question.source]
        assert document.held_out not in document.text + document.body


def test_the_assistant_after_the_course_answers_as_it_is_scored():
    assistant, scored = system.assistant(system.AFTER), system.chances(system.AFTER, DESCRIBED)
    for question, chance in zip(DESCRIBED[:25], scored, strict=False):
        answer = assistant.ask(question.text)
        assert answer.tool == "signature lookup"
        assert (answer.text == question.answer) == chance


def test_an_assistant_that_generates_answers_as_it_is_scored():
    plan = system.AFTER - {"read"}
    assistant, chances = system.assistant(plan), system.generated(plan, DESCRIBED[:4])
    for question, chance, shown in zip(DESCRIBED, chances, system.shown(plan, DESCRIBED[:4]), strict=False):
        answer = assistant.ask(question.text)
        assert (answer.tool, answer.sources[0].name) == ("retrieval", shown[0].name)
        assert (answer.text == question.answer) == chance


def test_a_threshold_that_nothing_passes_leaves_a_question_unanswered():
    assert not system.generated({"greedy", "one document", "words"}, DESCRIBED[:3], similarity_threshold=1.0).any()
    assert system.assistant({"words"}, similarity_threshold=1.0).ask(DESCRIBED[0].text).tool == "none"


def test_what_cannot_be_looked_up_is_left_to_the_language_model():
    reader = system.assistant(system.AFTER)
    assert reader._looked_up("What does numpy.fft.rfft compute?", []) is None
    assert system.read_off("tol", [corpus.by_name()["numpy.linalg.vecdot"]]) is None
    assert reader._looked_up(NAMED[0].text, []) == (NAMED[0].answer, NAMED[0].source)


def test_what_is_read_counts_before_what_is_written():
    assert system.overlaid(np.array([0.5, 0.5, 0.5]), np.array([1.0, np.nan, 0.0])).tolist() == [1.0, 0.5, 0.0]


# the ablation


def toy(plan, family):
    "Greedy is worth 0.1; words and facts 0.4 only together."
    return np.full(len(DESCRIBED), 0.2 + 0.1 * ("greedy" in plan) + 0.4 * ({"words", "facts"} <= plan))


@pytest.mark.parametrize("order", [ablation.FORWARD, ablation.BACKWARD])
def test_effects_in_any_order_add_up_to_the_whole(order):
    steps = ablation.in_order(order, score=toy)
    assert sum(step.effect.estimate for step in steps) == pytest.approx(0.5)
    assert (steps[0].before, steps[-1].after) == (pytest.approx(0.2), pytest.approx(0.7))


def test_the_average_over_all_orders_is_that_of_trying_them_all():
    steps = ("greedy", "words", "facts")
    found = ablation.over_all_orders(steps=steps, score=toy)
    tried = [{s.name: s.effect.estimate for s in ablation.in_order(o, score=toy)} for o in permutations(steps)]
    for name, (mean, least, most) in found.items():
        effects = [effect[name] for effect in tried]
        assert mean.estimate == pytest.approx(np.mean(effects))
        assert (least, most) == (pytest.approx(min(effects)), pytest.approx(max(effects)))
    assert found["words"][0].estimate == pytest.approx(found["facts"][0].estimate) == pytest.approx(0.2)


def test_a_step_that_stands_twice_in_an_order_is_refused():
    with pytest.raises(ValueError, match="each step once, got greedy, greedy"):
        ablation.in_order(["greedy", "greedy"])


# the classifier


def test_no_class_or_module_is_in_two_parts_and_no_text_is_lost():
    vectors, _, groups, rows = classifier.parts()
    inside = [set(groups[part]) for part in rows.values()]
    assert sum(map(len, inside)) == len(set.union(*inside))
    assert sorted(np.concatenate(list(rows.values())).tolist()) == list(range(len(vectors)))


def test_a_head_is_scored_on_texts_of_its_part_and_its_gap_is_training_minus_these():
    scores = classifier.scored(("early stopping",), [0, 1])
    _, _, _, rows = classifier.parts()
    assert scores["right"].shape == scores["loss"].shape == (2, len(rows["development"]))
    fit, (x, y) = classifier.fitted(("early stopping",), [0, 1])
    inside = (fit.probabilities(x[0])[0].argmax(axis=1) == y[0]).mean()
    assert scores["gap"][0] == pytest.approx(inside - scores["right"][0].mean())
    assert not classifier.differences(scores, scores)["log loss"].estimate


def test_an_unknown_step_of_the_head_is_named():
    with pytest.raises(ValueError, match="unknown step 'dropout'; the steps are early stopping"):
        classifier.fitted(("dropout",), [0])


# serving


def test_the_pareto_front_leaves_out_what_is_beaten():
    latencies = {"slow": 3.0, "quick": 1.0, "beaten": 2.0, "equal": 1.0}
    assert figures.pareto(latencies, {"slow": 0.9, "quick": 0.5, "beaten": 0.5, "equal": 0.4}) == ["quick", "slow"]
    with pytest.raises(ValueError, match="only one has {'beaten'}"):
        figures.pareto(latencies, {"slow": 0.9, "quick": 0.5, "equal": 0.4})


class Stub:
    def ask(self, question):
        return serving.Answer("1", "none", seconds={"search": 1.0, "generate": 3.0})


def test_shares_of_the_stages_sum_to_one():
    assert serving.shares(Stub(), ["a", "b"]) == {"search": 0.25, "generate": 0.75}


def test_every_configuration_of_the_front_has_seconds_for_every_question():
    asked = {"guess by name": serving.NameGuesser(), "stub": Stub()}
    found = serving.seconds(asked, [q.text for q in DESCRIBED[:3]], repeats=1)
    assert {name: len(values) for name, values in found.items()} == {"guess by name": 3, "stub": 3}


def test_a_guesser_that_counts_the_document_itself_is_a_little_better_than_the_design():
    guesser = serving.NameGuesser()
    right = np.mean([guesser.ask(q.text).text == q.answer for q in DESCRIBED])
    assert baseline.guess_right("described", "development").mean() <= right < 0.65


def test_memory_counts_the_vectors_by_hand():
    assert serving.memory()["vectors"] == len(baseline.library().texts) * 384 * 4


# controls


def test_other_forms_change_the_wording_and_nothing_that_is_right():
    for form in controls.FORMS:
        for before, after in zip(DESCRIBED[:30], controls.reworded(DESCRIBED[:30], form), strict=True):
            assert replace(after, text=before.text) == before
            assert (after.text == before.text) == (form == "as asked")
    with pytest.raises(ValueError, match="form must be one of as asked, .*; got 'shouted'"):
        controls.reworded(DESCRIBED, "shouted")


def test_a_kind_left_out_widens_the_filter_and_a_wrong_one_shuts_the_right_document_out():
    right = system.right_documents(DESCRIBED[:30])
    for form, passes in (("as asked", True), ("kind left out", True), ("another kind", False)):
        for question, place in zip(controls.reworded(DESCRIBED[:30], form), right, strict=True):
            assert system.documents_with(*system.facts(question.text))[place] == passes


def test_a_misspelt_parameter_is_not_read_off_any_signature():
    misspelt = controls.reworded(DESCRIBED[:20], "parameter misspelt")
    assert np.isnan(system.read(system.AFTER, misspelt)).all()


def test_the_guess_among_the_candidates_is_what_its_assistant_says():
    guessed = controls.guessed(DESCRIBED[:20])
    said = [serving.CandidateGuesser().ask(q.text).text == q.answer for q in DESCRIBED[:20]]
    assert guessed["commonest candidate"].tolist() == said
    assert ((guessed["random candidate"] > 0) & (guessed["random candidate"] <= 1)).all()


def test_the_filter_agrees_with_reading_every_document():
    for question in DESCRIBED[:5]:
        parameter, kind = system.facts(question.text)
        by_hand = [parameter in dict(d.defaults) and d.kind == kind for d in corpus.load_documents()]
        assert system.documents_with(parameter, kind).tolist() == by_hand
    assert not system.documents_with("toll_of_the_bell", None).any()
    assert system.documents_with(None, None).all()


def test_the_questions_needed_are_those_of_the_textbook():
    assert ablation.questions_needed(0.75, 0.85) == pytest.approx(247, abs=1)
    with pytest.raises(ValueError, match="both 0.8"):
        ablation.questions_needed(0.8, 0.8)


def test_the_final_plan_is_what_the_lesson_reports_on_development_questions():
    assert system.chances(system.AFTER, DESCRIBED).mean() == pytest.approx(0.88)
    assert frozenset({"greedy", "no threshold", "one document", "words", "facts", "read"}) == system.AFTER


# the record


def test_a_slice_of_the_generated_answers_agrees_with_the_record():
    context = "no threshold + one document + words + facts"
    again = recorded.generation(questions=2, families=("described",), contexts=(context,))
    kept = results.load(recorded.LESSON, "generation").values["described"]
    for context, sampled in again["described"].items():
        for name, values in sampled.items():
            assert values == pytest.approx(kept[context][name][:2], abs=0.002)


def test_each_opening_of_the_test_is_kept_and_none_is_hidden(monkeypatch):
    monkeypatch.setattr(recorded, "final_systems", lambda questions, family: {"after": np.zeros(2)})
    monkeypatch.setattr(recorded, "ranks", lambda plan, questions: np.zeros(2, int))
    monkeypatch.setattr(classifier, "compared", lambda seeds, part: {})
    before = results.load(recorded.LESSON, "test_opening").values["openings"]
    again = recorded.test_opening(reason="a test of the record")["openings"]
    assert again[:-1] == before
    assert again[-1]["reason"] == "a test of the record"


def test_the_lesson_chooses_its_plan_on_development_questions_alone():
    asked = {q.source for family in corpus.FAMILIES for q in corpus.load_questions(family, "development")}
    assert not asked & {q.source for q in corpus.load_questions("described", "test")}


def test_the_command_prints_each_step_with_its_effect(capsys):
    main(["--order", "facts", "read", "--family", "named"])
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("facts") and second.startswith("read")
    assert "-> 1.000" in second
    with pytest.raises(SystemExit):
        main(["--order", "facts", "facts"])
    assert "each step once" in capsys.readouterr().err
