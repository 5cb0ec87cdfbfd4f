import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from helpers import baseline, evaluation
from helpers.assistant import corpus, retrieval, sampling
from helpers.assistant.agent import Assistant, first_literal
from helpers.assistant.config import Config

outcomes = st.lists(st.booleans(), min_size=1, max_size=60)


# intervals


@given(outcomes)
def test_accuracy_has_wilsons_interval(right):
    n, share, z = len(right), sum(right) / len(right), stats.norm.ppf(0.975)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    found = evaluation.accuracy(right)
    assert (found.estimate, found.low, found.high) == pytest.approx((share, centre - half, centre + half), abs=1e-9)


def test_more_questions_and_a_lower_level_make_the_interval_narrower():
    widths = [
        interval.high - interval.low
        for interval in (
            evaluation.accuracy([True, False] * 20),
            evaluation.accuracy([True, False] * 20, level=0.8),
            evaluation.accuracy([True, False] * 500, level=0.8),
        )
    ]
    assert widths == sorted(widths, reverse=True)


def test_the_bootstrap_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(300):
        interval = evaluation.mean(rng.exponential(size=60), resamples=400, seed=trial)
        hits += interval.low <= 1.0 <= interval.high
    assert 0.89 <= hits / 300 <= 0.98


def test_a_mean_is_estimated_inside_its_interval():
    values = np.random.default_rng(0).normal(5, 1, 200)
    found = evaluation.mean(values)
    assert found.estimate == pytest.approx(values.mean())
    assert found.low < found.estimate < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(200), rel=0.1)
    assert found == evaluation.mean(values)


def test_pairing_sees_what_two_separate_intervals_do_not():
    rng = np.random.default_rng(0)
    hard = rng.normal(size=100)  # questions differ much, the systems little
    a, b = hard + 0.1 + 0.01 * rng.normal(size=100), hard
    assert evaluation.paired_difference(a, b).low > 0.09
    assert evaluation.mean(a).low < evaluation.mean(b).high


def test_what_the_design_fixed_adds_no_uncertainty():
    halves = [0.0] * 50 + [1.0] * 50
    assert evaluation.mean(halves).high > 0.55
    stratified = evaluation.mean(halves, strata=["unusual"] * 50 + ["usual"] * 50)
    assert (stratified.low, stratified.estimate, stratified.high) == (0.5, 0.5, 0.5)


def test_questions_about_one_class_count_as_one():
    values = np.random.default_rng(0).normal(size=40)
    copies, of_class = np.repeat(values, 5), np.repeat(np.arange(40), 5)
    once, naive, honest = (evaluation.mean(values), evaluation.mean(copies), evaluation.mean(copies, clusters=of_class))
    assert (honest.estimate, honest.low, honest.high) == pytest.approx((once.estimate, once.low, once.high))
    assert honest.high - honest.low > 2 * (naive.high - naive.low)


@pytest.mark.parametrize("name", ["strata", "clusters"])
def test_every_value_needs_its_label(name):
    with pytest.raises(ValueError, match=f"{name} must have one label for each of 3 values, got 2"):
        evaluation.mean([1, 2, 3], **{name: [0, 1]})


def test_an_interval_prints_its_three_numbers():
    assert str(evaluation.Interval(0.5, 0.25, 0.75)) == "0.500 [0.250, 0.750]"


@pytest.mark.parametrize("measure", [evaluation.accuracy, evaluation.mean])
def test_nothing_has_no_average(measure):
    with pytest.raises(ValueError, match="is empty: there is nothing to average"):
        measure([])


def test_nan_is_named_with_its_place():
    with pytest.raises(ValueError, match="values contains NaN at position 2"):
        evaluation.mean([1, 2, float("nan")])


# comparisons


def test_mcnemar_by_hand():
    a = [True] * 8 + [False] * 1 + [True] * 50
    b = [False] * 8 + [True] * 1 + [True] * 50
    assert evaluation.mcnemar(a, b) == pytest.approx(2 * (1 + 9) / 2**9)


@given(outcomes)
def test_mcnemar_finds_no_difference_from_oneself(right):
    assert evaluation.mcnemar(right, right) == 1


@pytest.mark.parametrize("compare", [evaluation.mcnemar, evaluation.paired_difference])
def test_systems_must_answer_the_same_questions(compare):
    with pytest.raises(ValueError, match=r"same questions, got shapes \(2,\) and \(3,\)"):
        compare([True, False], [True, False, True])


# probabilities


@given(st.integers(0, 1000), st.integers(2, 6))
def test_log_loss_is_that_of_scikit_learn(seed, classes):
    from sklearn.metrics import log_loss

    rng = np.random.default_rng(seed)
    probabilities, labels = rng.dirichlet(np.ones(classes), 20), rng.integers(0, classes, 20)
    expected = log_loss(labels, probabilities, labels=range(classes))
    assert evaluation.log_loss(probabilities, labels) == pytest.approx(expected)


def test_a_certain_mistake_costs_much_but_not_infinitely():
    assert evaluation.log_loss([[1.0, 0.0]], [1]) == pytest.approx(-np.log(1e-12))


def test_calibration_error_by_hand():
    probabilities = [[0.95, 0.05], [0.92, 0.08], [0.35, 0.65], [0.62, 0.38]]
    labels = [0, 1, 1, 0]
    # in .9–1: mean confidence .935, accuracy .5, 2 of 4; in .6–.7: .635 and 1, 2 of 4
    assert evaluation.calibration_error(probabilities, labels) == pytest.approx(0.5 * 0.435 + 0.5 * 0.365)


def test_what_is_drawn_from_the_probabilities_is_calibrated():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), 20_000)
    labels = (probabilities.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1)
    assert evaluation.calibration_error(probabilities, labels) < 0.02
    assert evaluation.calibration_error(probabilities**4 / (probabilities**4).sum(1, keepdims=True), labels) > 0.1


@pytest.mark.parametrize("measure", [evaluation.log_loss, evaluation.calibration_error])
@pytest.mark.parametrize(
    ("probabilities", "labels", "what"),
    [([[0.5, 0.5]], [2], "labels must be from 0 to 1"), ([[0.5, 0.5]], [0, 1], "as many labels"), ([], [], "need")],
)
def test_wrong_probabilities_and_labels_are_named(measure, probabilities, labels, what):
    with pytest.raises(ValueError, match=what):
        measure(probabilities, labels)


# ranks

FOUND = [[3, 1, 2], [0, 2, 1], [5, 6, 7], [4, -1, -1]]
RELEVANT = [3, 1, 0, 4]


@pytest.mark.parametrize(("k", "share"), [(1, 0.5), (2, 0.5), (3, 0.75)])
def test_recall_by_hand(k, share):
    assert evaluation.recall_at_k(FOUND, RELEVANT, k) == share


def test_mean_reciprocal_rank_by_hand():
    assert evaluation.mean_reciprocal_rank(FOUND, RELEVANT) == pytest.approx((1 + 1 / 3 + 0 + 1) / 4)


@pytest.mark.parametrize("k", [0, 4])
def test_recall_needs_as_many_documents_as_it_looks_at(k):
    with pytest.raises(ValueError, match=f"k must be from 1 to 3, the documents found per query; got {k}"):
        evaluation.recall_at_k(FOUND, RELEVANT, k)


def test_every_query_needs_its_relevant_document():
    with pytest.raises(ValueError, match="found has 4 queries and relevant has 3"):
        evaluation.mean_reciprocal_rank(FOUND, RELEVANT[:3])


# expected answers, of the development questions with the right document given


@pytest.fixture(scope="module")
def questions():
    return corpus.load_questions("named", "development")


@pytest.fixture(scope="module")
def expected():
    return baseline.expected("right document", "named")


@pytest.fixture(scope="module")
def prompts():
    return baseline.prompts("right document", "named", "development")


@pytest.fixture(scope="module")
def exact(lm, prompts, questions):
    """The first forty, with every token of the vocabulary."""
    return evaluation.ExpectedAnswers(lm, prompts[:40], [question.answer for question in questions[:40]])


@pytest.fixture(scope="module")
def sample(lm):
    """sample(prompt, answer, count, temperature, top_p) -> how many of `count` real samples are right.

    Each token is drawn from what the model says after the tokens before it, and the answer is
    read as the assistant reads it. Samples that begin alike share their forward passes, and
    one that can no longer become right is not continued.
    """
    read = {}

    def after(prompt, written):
        if (prompt, written) not in read:
            if written:
                _, state = after(prompt, written[:-1])
                read[prompt, written] = lm.read_on(written[-1], copy.deepcopy(state))
            else:
                read[prompt, written] = lm.read(lm.tokens(prompt))
        return read[prompt, written]

    def right(prompt, answer, count, temperature, top_p, seed=0):
        rng, open_samples, right = np.random.default_rng(seed), [((), count)], 0
        while open_samples:
            written, count = open_samples.pop()
            logits, _ = after(prompt, written)
            drawn = rng.multinomial(count, sampling.distribution(logits.numpy(), temperature, top_p))
            for token in np.flatnonzero(drawn).tolist():
                text = lm.text([*written, token])
                if token == lm.tokenizer.eos_token_id:
                    right += drawn[token] * (first_literal(lm.text(list(written)) + "\n") == answer)
                elif first_literal(text) is not None or "\n" in text.lstrip():
                    right += drawn[token] * (first_literal(text) == answer)
                elif f"={answer}".startswith(text):
                    open_samples.append(((*written, token), drawn[token]))
        return right

    return right


UNSURE = slice(0, 3)  # of the questions that are right in .1 to .9 of samples


@pytest.mark.parametrize(("temperature", "top_p"), [(0.7, 0.9), (1.0, 1.0)])
def test_the_formula_agrees_with_real_samples(expected, exact, prompts, questions, sample, temperature, top_p):
    at_one = exact.probabilities()
    chosen = np.flatnonzero((at_one > 0.1) & (at_one < 0.9))[UNSURE]
    assert len({questions[i].answer for i in chosen}) > 2
    for i in chosen:
        share = sample(prompts[i], questions[i].answer, 2000, temperature, top_p) / 2000
        for formula in (exact, expected):
            probability = formula.probabilities(temperature, top_p)[i]
            error = np.sqrt(probability * (1 - probability) / 2000)
            assert abs(share - probability) <= 4 * error + 1e-9, (questions[i], share, probability)


@pytest.mark.parametrize("temperature", [0, 0.05, 0.3, 0.7, 1, 1.5, 2])
@pytest.mark.parametrize("top_p", [0.5, 0.9, 1.0])
def test_the_likeliest_tokens_and_bins_are_within_a_hundredth(expected, exact, temperature, top_p):
    off = expected.probabilities(temperature, top_p)[:40] - exact.probabilities(temperature, top_p)
    assert np.abs(off).max() < 0.01


def test_at_temperature_zero_the_assistant_is_right_or_wrong_as_expected(exact, questions, lm):
    certain = exact.probabilities(temperature=0)
    assert set(certain) == {0, 1}
    greedy = Config(method="lexical", keyword_threshold=4, similarity_threshold=-1)
    for i in (*np.flatnonzero(certain == 1)[:2], *np.flatnonzero(certain == 0)[:2]):
        library = retrieval.Library([corpus.by_name()[questions[i].source]])
        answer = Assistant(greedy, library=library, language_model=lm).ask(questions[i].text)
        assert (answer.text == questions[i].answer) == certain[i]


def test_small_temperatures_and_nuclei_come_close_to_greedy(expected):
    greedy = expected.probabilities(temperature=0)
    for settings in ((1e-3, 1.0), (1.0, 1e-6)):
        assert np.abs(expected.probabilities(*settings) - greedy).max() < 0.01


def test_probabilities_are_probabilities(expected):
    for temperature in (0, 0.3, 1, 2):
        probabilities = expected.probabilities(temperature, 0.9)
        assert probabilities.shape == (150,)
        assert ((probabilities >= 0) & (probabilities <= 1)).all()


def test_more_samples_pass_more_often(expected):
    passed = [expected.pass_at_k(k, temperature=0.7) for k in (1, 2, 5, 20)]
    assert passed == sorted(passed)
    assert passed[0] == pytest.approx(expected.accuracy(temperature=0.7))
    assert passed[0] < passed[2]


def test_at_temperature_zero_a_second_sample_is_no_help(expected):
    assert expected.pass_at_k(5, temperature=0) == expected.accuracy(temperature=0)


def test_pass_at_k_has_its_best_temperature_inside(expected):
    cold, warm, hot = (expected.pass_at_k(5, temperature) for temperature in (0.05, 0.7, 2))
    assert warm > cold
    assert warm > hot


def test_drawn_outcomes_are_as_often_right_as_expected(expected):
    probabilities = expected.probabilities(0.7)
    drawn = expected.sample_right(2000, 0.7)
    error = np.sqrt(probabilities * (1 - probabilities) / 2000)
    assert (np.abs(drawn.mean(axis=1) - probabilities) <= 5 * error).all()
    assert (drawn == expected.sample_right(2000, 0.7, seed=0)).all()
    assert (drawn != expected.sample_right(2000, 0.7, seed=1)).any()


def test_an_answer_that_no_completion_spells_is_refused(lm):
    with pytest.raises(ValueError, match="'1.50000j' is not a literal as repr writes it"):
        evaluation.ExpectedAnswers(lm, ["prompt"], ["1.50000j"])


@pytest.mark.parametrize("keep", [0, 1, -5])
def test_at_least_two_tokens_are_kept(lm, keep):
    with pytest.raises(ValueError, match=f"keep must be at least 2 tokens, or None for all of them; got {keep}"):
        evaluation.ExpectedAnswers(lm, ["prompt"], ["1"], keep=keep)


@pytest.mark.parametrize(
    ("settings", "what"), [((-1, 1.0), "temperature must be"), ((1, 0.0), "top_p must be"), ((1, 1.5), "top_p must be")]
)
def test_wrong_settings_are_named(expected, settings, what):
    with pytest.raises(ValueError, match=what):
        expected.probabilities(*settings)


def test_no_sample_passes_nothing(expected):
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        expected.pass_at_k(0)


# right or wrong


@pytest.mark.parametrize(
    ("text", "answer"), [("0.0001", "0.0001"), ("1e-4", "0.0001"), ('"auto"', "'auto'"), ("None", "None"), ("-1", "-1")]
)
def test_the_same_value_is_right(text, answer):
    assert evaluation.is_right(text, answer)


@pytest.mark.parametrize(
    ("text", "answer"),
    [("1", "True"), ("1.0", "1"), ("auto", "'auto'"), ("I don't know.", "None"), ("", "0"), ("{[]: 1}", "1")],
)
def test_another_value_is_wrong(text, answer):
    assert not evaluation.is_right(text, answer)


@given(st.text(max_size=30))
def test_any_text_is_right_or_wrong(text):
    assert evaluation.is_right(text, "None") in (True, False)


def test_a_text_that_python_cannot_read_is_wrong():
    assert not evaluation.is_right("(" * 10_000, "1")


# the held-out set


def test_a_held_out_set_records_who_opened_it_and_why(capsys):
    held_out = evaluation.HeldOut([1, 2, 3], "the exam")
    assert (len(held_out), held_out.openings) == (3, [])
    assert held_out.open("final score") == (1, 2, 3)
    held_out.open("one more look")
    assert held_out.openings == ["final score", "one more look"]
    first, second = capsys.readouterr().out.splitlines()
    assert first == "the exam has now been opened once: final score"
    assert second.startswith("the exam has now been opened 2 times: one more look; what was chosen")


@pytest.mark.parametrize("reason", ["", "  ", None])
def test_opening_a_held_out_set_needs_a_reason(reason):
    held_out = evaluation.HeldOut([1])
    with pytest.raises(ValueError, match="say why the test set is opened"):
        held_out.open(reason)
    assert held_out.openings == []


def test_runs_are_resampled_too():
    rng = np.random.default_rng(0)
    of_run, of_question = rng.normal(0, 1, (20, 1)), rng.normal(0, 1, (1, 2000))
    interval = evaluation.mean(of_run + of_question)  # nearly all of the doubt is between runs
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * of_run.std() / np.sqrt(20), rel=0.15)
    alone = evaluation.mean((of_run + of_question).mean(axis=0))
    assert alone.high - alone.low < 0.3 * (interval.high - interval.low)


def test_one_run_is_as_no_runs():
    values = np.random.default_rng(0).normal(size=50)
    assert evaluation.mean(values[None]) == evaluation.mean(values)


def test_the_interval_over_seeds_is_the_t_tests():
    values = np.array([0.3, -0.1, 0.4, 0.2, 0.1])
    found, reference = evaluation.over_seeds(values), stats.ttest_1samp(values, 0).confidence_interval()
    assert (found.estimate, found.low, found.high) == pytest.approx((values.mean(), reference.low, reference.high))
    with pytest.raises(ValueError, match="at least two values, got 1"):
        evaluation.over_seeds([0.1])
