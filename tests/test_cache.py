import string
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, from_dtype, scalar_dtypes
from hypothesis.extra.numpy import arrays as any_array

from helpers.assistant import cache

plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
small_arrays = scalar_dtypes().flatmap(
    lambda dtype: any_array(dtype, array_shapes(min_dims=0, max_dims=3, max_side=3), elements=from_dtype(dtype))
)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HELPERS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Counted:
    """A computation that knows how often it was asked for."""

    def __init__(self, value):
        self.value, self.times = value, 0

    def __call__(self):
        self.times += 1
        return self.value


def only_file(folder):
    (path,) = folder.iterdir()
    return path


@pytest.fixture
def any_warning_fails():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.usefixtures("any_warning_fails")
def test_a_value_is_computed_once():
    compute = Counted({"a": np.arange(3)})
    for _ in range(3):
        assert cache.arrays("numbers", ["same"], compute)["a"].tolist() == [0, 1, 2]
    assert compute.times == 1


def test_another_input_is_computed_again():
    compute = Counted([1])
    for setting in ("one", "two", "one"):
        cache.data("numbers", [setting], compute)
    assert compute.times == 2


def test_another_name_is_another_entry():
    assert cache.data("one", [], lambda: 1) == 1
    assert cache.data("two", [], lambda: 2) == 2


def test_inputs_may_be_arrays_and_bytes():
    compute = Counted(0)
    for end in (3, 3, 4):
        cache.data("numbers", [np.arange(end), b"raw", {"also inside": np.arange(end)}, np.float32(0.5)], compute)
    assert compute.times == 2


def test_the_first_call_returns_what_later_ones_do():
    first, later = (cache.data("pairs", [], lambda: [(1, 2), {"a": (3,)}]) for _ in range(2))
    assert first == later == [[1, 2], {"a": [3]}]


@pytest.mark.parametrize("wrong", [np.arange(3), {"a": [1, 2]}, None])
def test_arrays_keeps_nothing_but_arrays(wrong, empty_cache):
    with pytest.raises(TypeError, match="'numbers' must return a dict of arrays"):
        cache.arrays("numbers", [], lambda: wrong)
    assert not empty_cache.exists()


def test_an_array_of_objects_is_refused():
    objects = np.array([None, "a"], dtype=object)
    with pytest.raises(TypeError, match="Python objects"):
        cache.arrays("numbers", [], lambda: {"a": objects})
    with pytest.raises(TypeError, match="Python objects"):
        cache.digest(objects)


def test_an_input_without_content_is_refused():
    with pytest.raises(TypeError, match="cannot tell the content of a set"):
        cache.digest({1, 2})


# many at once


class Squares:
    """A computation that knows for which positions it was asked."""

    def __init__(self, numbers):
        self.numbers, self.asked = numbers, []

    def __call__(self, positions):
        self.asked.append(positions)
        return [np.array([self.numbers[position] ** 2]) for position in positions]

    def found(self):
        return [array.tolist() for array in cache.many("square", self.numbers, self)]


def test_overlapping_lists_share_what_they_have():
    first, second = Squares([1, 2, 3]), Squares([4, 3, 2])
    assert first.found() == [[1], [4], [9]]
    assert second.found() == [[16], [9], [4]]
    assert [sorted(positions) for positions in first.asked + second.asked] == [[0, 1, 2], [0]]


def test_equal_inputs_are_computed_once():
    squares = Squares([3, 1, 3])
    assert squares.found() == squares.found() == [[9], [1], [9]]
    assert [sorted(positions) for positions in squares.asked] == [[0, 1]]


def test_one_damaged_entry_of_many_is_made_again(empty_cache):
    squares = Squares([1, 2, 3])
    squares.found()
    (empty_cache / "squares" / cache.digest(2)[:24]).write_bytes(b"")
    with pytest.warns(cache.CacheNotice, match="damaged"):
        assert squares.found() == [[1], [4], [9]]
    assert squares.asked[1:] == [[1]]


# damage


def cut_short(stored):
    return stored[:-1]


def flip_a_bit_of_the_content(stored):
    return stored[:-20] + bytes([stored[-20] ^ 1]) + stored[-19:]


def flip_a_bit_of_the_checksum(stored):
    at = len(cache.MAGIC) + 5
    return stored[:at] + bytes([stored[at] ^ 1]) + stored[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [cut_short, flip_a_bit_of_the_content, flip_a_bit_of_the_checksum, lambda stored: b"", lambda stored: b"x" * 500],
    ids=["cut short", "content", "checksum", "emptied", "overwritten"],
)
def test_a_damaged_entry_is_noticed_and_made_again(damage, empty_cache):
    compute = Counted({"a": np.arange(100)})
    cache.arrays("numbers", [], compute)
    whole = only_file(empty_cache).read_bytes()
    only_file(empty_cache).write_bytes(damage(whole))
    with pytest.warns(cache.CacheNotice, match="damaged"):
        assert cache.arrays("numbers", [], compute)["a"].sum() == 4950
    assert compute.times == 2
    assert only_file(empty_cache).read_bytes() == whole


def test_a_notice_points_at_the_line_that_asked(empty_cache):
    cache.data("numbers", [], lambda: 1)
    only_file(empty_cache).write_bytes(b"")
    with pytest.warns(cache.CacheNotice) as caught:
        cache.data("numbers", [], lambda: 1)
    assert caught[0].filename == __file__


# writing


def test_a_failed_computation_leaves_nothing_behind(empty_cache):
    with pytest.raises(ZeroDivisionError):
        cache.data("numbers", [], lambda: 1 / 0)
    assert not empty_cache.exists()


def test_a_full_disk_costs_a_notice_and_leaves_nothing_behind(empty_cache):
    resource = pytest.importorskip("resource", reason="limits on file sizes are a Unix matter")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.warns(cache.CacheNotice) as caught:
            assert len(cache.data("numbers", [], lambda: list(range(1000)))) == 1000
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "cannot write" in str(caught[0].message)
    assert list(empty_cache.iterdir()) == []


def test_an_interrupted_write_leaves_nothing_behind(empty_cache, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cache.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.data("numbers", [], lambda: 1)
    assert list(empty_cache.iterdir()) == []


def test_two_processes_may_write_the_same_entry(empty_cache):
    path = empty_cache / "numbers"
    script = """if True:
        import sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[1])
        import cache  # without the models, which the package would import
        for _ in range(20):
            cache.write_checked(Path(sys.argv[2]), sys.argv[3].encode() * 200_000)"""
    beside = str(Path(cache.__file__).parent)
    writers = [subprocess.Popen([sys.executable, "-c", script, beside, path, letter]) for letter in "ab"]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a reader that meets half a file would get a notice
            seen.add(cache.read_checked(path))
        time.sleep(0.001)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert seen <= {None, b"a" * 200_000, b"b" * 200_000}
    assert cache.read_checked(path) is not None
    assert only_file(empty_cache) == path


def test_a_folder_that_cannot_be_written_to_costs_a_notice_that_names_the_mend(tmp_path, monkeypatch):
    (tmp_path / "a file").write_text("no folder")
    monkeypatch.setenv("HELPERS_CACHE", str(tmp_path / "a file" / "cache"))
    with pytest.warns(cache.CacheNotice) as caught:
        assert cache.data("numbers", [], lambda: [1, 2]) == [1, 2]
    assert ["set HELPERS_CACHE to a folder that is" in str(warning.message) for warning in caught] == [True]


def test_without_a_choice_the_cache_is_beside_the_package(monkeypatch):
    monkeypatch.delenv("HELPERS_CACHE")
    assert (cache.folder().parent / "helpers" / "assistant" / "cache.py").exists()
    assert cache.folder().name == ".cache"


# laws


@given(st.lists(plain_values | st.binary() | small_arrays, max_size=3))
def test_equal_parts_have_equal_digests(parts):
    again = [part.copy() if isinstance(part, np.ndarray) else part for part in parts]
    assert cache.digest(*parts) == cache.digest(*again)


@given(st.lists(plain_values | st.binary(), min_size=1, max_size=3), st.data())
def test_a_digest_changes_when_any_part_does(parts, data):
    position = data.draw(st.integers(0, len(parts) - 1))
    other = data.draw(plain_values | st.binary())
    assume(repr(other) != repr(parts[position]))
    changed = [*parts[:position], other, *parts[position + 1 :]]
    # dicts are the same in any order
    assume(not (isinstance(other, (dict, list)) and changed == parts))
    assert cache.digest(*changed) != cache.digest(*parts)


@given(small_arrays.filter(lambda array: array.size > 0), st.data())
def test_a_digest_changes_with_any_element(array, data):
    changed = bytearray(array.tobytes())
    position = data.draw(st.integers(0, len(changed) - 1))
    changed[position] ^= 1
    other = np.frombuffer(bytes(changed), array.dtype).reshape(array.shape)
    assert cache.digest(array) != cache.digest(other)


def test_a_digest_tells_shapes_and_types_apart():
    zeros = [np.zeros(shape, dtype) for shape in (4, (2, 2), (4, 1)) for dtype in ("f4", "i4", "f8")]
    assert len({cache.digest(array) for array in zeros}) == len(zeros)


def test_a_digest_tells_where_one_part_ends():
    assert len({cache.digest("ab"), cache.digest("a", "b"), cache.digest(["a", "b"]), cache.digest(b"ab")}) == 4


@given(st.dictionaries(st.text(string.ascii_letters, min_size=1, max_size=3), small_arrays, max_size=3))
def test_arrays_come_back_as_they_were(value):
    compute = Counted(value)
    depends_on = [repr(value), {key: array for key, array in value.items()}]
    for _ in range(2):
        found = cache.arrays("numbers", depends_on, compute)
        assert list(found) == list(value)
        for key, array in value.items():
            assert found[key].dtype == array.dtype
            assert found[key].shape == array.shape
            assert found[key].tobytes() == array.tobytes()
    assert compute.times <= 1


@given(plain_values)
def test_plain_values_come_back_as_they_were(value):
    for _ in range(2):
        assert repr(cache.data("value", [repr(value)], lambda: value)) == repr(value)
