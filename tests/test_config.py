from dataclasses import FrozenInstanceError, fields, replace

import pytest

from helpers.assistant.config import GUIDE, RANGES, Config

KNOBS = [field.name for field in fields(Config)]
WRONG_VALUES = [
    *((name, value) for name, low, high in RANGES for value in (low - 1, high + 1)),
    ("top_p", 0.0),
    ("top_p", 1.01),
    ("method", "sparse"),
]
WRONG_TYPES = {int: [2.0, "2", None, True], float: ["0.5", None, True], str: [1, None]}
TIED = ("max_seq_length", "chunk_size", "overlap")  # to one another
LIMITS = [(name, limit) for name, *limits in RANGES for limit in limits if name not in TIED]


def test_every_knob_has_a_limit():
    assert {name for name, _ in WRONG_VALUES} == set(KNOBS)


@pytest.mark.parametrize(("name", "value"), WRONG_VALUES)
def test_a_wrong_value_is_refused_by_the_name_of_its_knob(name, value):
    with pytest.raises(ValueError, match=f"^{name} must be .*{value}"):
        Config(**{name: value})


@pytest.mark.parametrize(("name", "value"), [(f.name, v) for f in fields(Config) for v in WRONG_TYPES[f.type]])
def test_a_wrong_type_is_refused_by_the_name_of_its_knob(name, value):
    with pytest.raises(TypeError, match=f"^{name} must be (int|float|str), got"):
        Config(**{name: value})


@pytest.mark.parametrize("name", [field.name for field in fields(Config) if field.type is float])
def test_nan_is_refused(name):
    with pytest.raises(ValueError, match=f"^{name} must be .*nan"):
        Config(**{name: float("nan")})


@pytest.mark.parametrize(("name", "limit"), LIMITS)
def test_the_limits_themselves_are_allowed(name, limit):
    assert getattr(Config(**{name: limit}), name) == limit


@pytest.mark.parametrize("name", [field.name for field in fields(Config) if field.type is float])
def test_a_whole_number_will_do_for_a_fraction(name):
    assert getattr(Config(**{name: 1}), name) == 1


def test_a_chunk_must_fit_the_encoder():
    with pytest.raises(ValueError, match=r"chunk_size \(300\) must not exceed max_seq_length \(256\)"):
        Config(chunk_size=300)


def test_an_overlap_is_under_half_a_chunk():
    Config(chunk_size=100, overlap=49)
    with pytest.raises(ValueError, match=r"overlap must be under half of chunk_size \(100\), got 50"):
        Config(chunk_size=100, overlap=50)


def test_settings_cannot_change_under_an_assistant():
    with pytest.raises(FrozenInstanceError):
        Config().top_k = 3


def test_a_changed_copy_is_checked_too():
    with pytest.raises(ValueError, match="^top_k must be"):
        replace(GUIDE, top_k=0)


def test_the_guides_settings_are_valid_and_its_own():
    assert (GUIDE.temperature, GUIDE.top_p, GUIDE.max_tokens, GUIDE.top_k) == (0.7, 0.9, 2000, 3)
    assert (GUIDE.chunk_size, GUIDE.overlap, GUIDE.batch_size, GUIDE.similarity_threshold) == (512, 50, 32, 0.3)
