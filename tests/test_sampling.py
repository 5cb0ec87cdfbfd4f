import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from helpers.assistant.sampling import distribution, draw, penalised

logits = arrays(np.float64, st.integers(2, 12), elements=st.floats(-30, 30))
temperatures = st.floats(0.05, 5)
shares = st.floats(0.01, 1)


def entropy(probabilities):
    return stats.entropy(probabilities)


def no_tie(logits):
    second, first = np.sort(logits)[-2:]
    return first - second > 1e-3


# the distribution


@given(logits, st.just(0) | temperatures, shares)
def test_probabilities_sum_to_one(logits, temperature, top_p):
    probabilities = distribution(logits, temperature, top_p)
    assert (probabilities >= 0).all()
    assert probabilities.sum() == pytest.approx(1)


@given(logits, shares)
def test_temperature_zero_always_takes_the_likeliest(logits, top_p):
    assert distribution(logits, 0, top_p)[logits.argmax()] == 1


@given(logits)
def test_temperature_zero_is_the_limit_of_small_ones(logits):
    assume(no_tie(logits))
    assert distribution(logits, 1e-5) == pytest.approx(distribution(logits, 0))


@given(logits)
def test_temperature_one_is_softmax(logits):
    assert distribution(logits) == pytest.approx(np.exp(logits) / np.exp(logits).sum())


@given(logits, temperatures, temperatures)
def test_a_higher_temperature_never_lowers_entropy(logits, one, other):
    cold, hot = sorted((one, other))
    assert entropy(distribution(logits, hot)) >= entropy(distribution(logits, cold)) - 1e-9


@given(logits, temperatures, st.floats(-20, 20))
def test_only_differences_of_logits_matter(logits, temperature, constant):
    assert distribution(logits + constant, temperature) == pytest.approx(distribution(logits, temperature))


def test_huge_logits_do_not_overflow():
    with np.errstate(over="raise", invalid="raise"):
        assert distribution([1e6, 1e6, -1e6]).tolist() == [0.5, 0.5, 0]


# the nucleus


@given(logits, temperatures, shares)
def test_the_nucleus_is_the_smallest_set_that_reaches_top_p(logits, temperature, top_p):
    whole = distribution(logits, temperature)
    kept = distribution(logits, temperature, top_p) > 0
    assume((np.abs(np.cumsum(-np.sort(-whole)) - top_p) > 1e-9).all())  # a tie is decided by rounding
    size = int(np.searchsorted(np.cumsum(-np.sort(-whole)), top_p)) + 1
    assert kept.sum() == min(size, (whole > 0).sum())
    assert whole[kept].min() >= whole[~kept].max(initial=0)


@given(logits, temperatures, shares)
def test_the_nucleus_keeps_the_proportions(logits, temperature, top_p):
    whole, cut = distribution(logits, temperature), distribution(logits, temperature, top_p)
    assert cut[cut > 0] == pytest.approx(whole[cut > 0] / whole[cut > 0].sum())


@given(logits, temperatures)
def test_top_p_one_changes_nothing(logits, temperature):
    assert (distribution(logits, temperature, 1) == distribution(logits, temperature)).all()


@given(logits, temperatures)
def test_a_tiny_top_p_is_greedy(logits, temperature):
    assume(no_tie(logits))
    assert (distribution(logits, temperature, 1e-9) == distribution(logits, 0)).all()


def test_a_nucleus_by_hand():
    assert distribution(np.log([0.15, 0.5, 0.05, 0.3]), top_p=0.7) == pytest.approx([0, 0.625, 0, 0.375])


# penalties


@given(logits, st.lists(st.integers(0, 1), max_size=9), st.floats(-2, 2))
def test_the_frequency_penalty_grows_with_every_repetition(logits, written, penalty):
    expected = logits - penalty * np.bincount(written, minlength=len(logits)).astype(float)
    assert penalised(logits, written, frequency_penalty=penalty) == pytest.approx(expected)


@given(logits, st.lists(st.integers(0, 1), max_size=9), st.floats(-2, 2))
def test_the_presence_penalty_is_charged_once(logits, written, penalty):
    expected = logits - penalty * (np.bincount(written, minlength=len(logits)) > 0)
    assert penalised(logits, written, presence_penalty=penalty) == pytest.approx(expected)


def test_penalties_by_hand():
    assert penalised([5.0, 5.0, 5.0], [1, 1, 1, 2], 0.5, 1.0).tolist() == [5.0, 2.5, 3.5]


def test_penalties_leave_the_given_logits_alone():
    given_logits = np.ones(3)
    penalised(given_logits, [0], 1, 1)
    assert given_logits.tolist() == [1, 1, 1]


# the draw


def test_draws_are_as_frequent_as_they_are_likely():
    probabilities = distribution([2, 1, 0, -1, -5], temperature=1.3)
    rng = np.random.default_rng(0)
    counts = np.bincount([draw(probabilities, rng) for _ in range(20_000)], minlength=5)
    assert stats.chisquare(counts, 20_000 * probabilities).pvalue > 0.01


@given(st.integers(0, 2**32 - 1))
def test_the_same_seed_draws_the_same(seed):
    probabilities = np.full(1000, 1e-3)
    first, second = (draw(probabilities, np.random.default_rng(seed)) for _ in range(2))
    assert first == second


class Extreme:
    """A generator whose every number is the given one."""

    def __init__(self, number):
        self.number = number

    def random(self):
        return self.number


@given(logits, temperatures, st.floats(0.01, 0.99), st.sampled_from([0.0, 1 - 2**-53]))
def test_what_is_outside_the_nucleus_is_never_drawn(logits, temperature, top_p, number):
    probabilities = distribution(logits, temperature, top_p)
    assert probabilities[draw(probabilities, Extreme(number))] > 0


# errors


@pytest.mark.parametrize("temperature", [-0.1, float("nan"), float("inf")])
def test_a_wrong_temperature_is_named(temperature):
    with pytest.raises(ValueError, match="temperature must be 0"):
        distribution([1, 2], temperature)


@pytest.mark.parametrize("top_p", [0, -0.5, 1.1, float("nan")])
def test_a_wrong_top_p_is_named(top_p):
    with pytest.raises(ValueError, match="top_p must be above 0"):
        distribution([1, 2], 1, top_p)
