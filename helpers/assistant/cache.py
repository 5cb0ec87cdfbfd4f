"""What is expensive is computed once and kept by content under `.cache/`.

An entry is one file whose name carries a hash of everything its value depends on: the
inputs, the model, the settings, the versions. Nothing is ever out of date, so nothing has
to be invalidated; deleting the folder costs time and nothing else. An entry that was cut
short or altered is noticed by its checksum and computed again.
"""

import hashlib
import io
import json
import os
import tempfile
import warnings
from pathlib import Path

import numpy as np

MAGIC = b"helpers-cache-1\n"


class CacheNotice(UserWarning):
    """Something about the cache that the learner may want to know; the result is still right."""


def folder():
    """The cache folder: `$HELPERS_CACHE`, or `.cache/` beside the `helpers` package."""
    chosen = os.environ.get("HELPERS_CACHE")
    return Path(chosen) if chosen else Path(__file__).resolve().parents[2] / ".cache"


def digest(*parts):
    """SHA-256 (hex) of any mixture of strings, bytes, numbers, arrays, lists and dicts."""
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            sha.update(f"array {part.dtype} {part.shape} ".encode())
            part = _plain(part).tobytes()
        elif isinstance(part, bytes):
            sha.update(b"bytes ")
        else:
            part = json.dumps(part, sort_keys=True, default=_stand_in).encode()
        sha.update(f"{len(part)}:".encode())
        sha.update(part)
    return sha.hexdigest()


def _stand_in(value):
    "What JSON has no word for, inside a list or dict."
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (np.ndarray, bytes)):
        return {type(value).__name__: digest(value)}
    raise TypeError(f"cannot tell the content of a {type(value).__name__}: {value!r}")


def _plain(array):
    if array.dtype.hasobject:
        raise TypeError(f"an array of Python objects has no content to keep; got dtype {array.dtype}")
    return array


def arrays(name, depends_on, compute):
    """A dict of arrays, computed once: `compute()` is called only if no valid entry is kept.

    name: short label that starts the file's name. depends_on: list of whatever determines
    the value (see `digest`). compute: function without arguments returning {str: ndarray}.
    Raises TypeError if `compute` returns anything else.
    """

    def encode(value):
        if not isinstance(value, dict) or not all(isinstance(a, np.ndarray) for a in value.values()):
            raise TypeError(f"compute() for {name!r} must return a dict of arrays, got {type(value).__name__}")
        stream = io.BytesIO()
        np.savez(stream, **{key: _plain(array) for key, array in value.items()})
        return stream.getvalue()

    def decode(payload):
        with np.load(io.BytesIO(payload), allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}

    return _entry(name, depends_on, compute, encode, decode)


def data(name, depends_on, compute):
    """As `arrays`, for a value made of dicts with text keys, lists, strings, numbers and None."""
    return _entry(name, depends_on, compute, lambda value: json.dumps(value).encode(), json.loads)


def many(name, inputs, compute):
    """One array for each input, each kept on its own, so that overlapping lists share what they have.

    inputs: list of whatever determines an array (see `digest`). compute: function of the list
    of positions that are not kept yet, returning their arrays; called once, or not at all.
    Returns a list of arrays.
    """
    paths = [folder() / f"{name}s" / digest(each)[:24] for each in inputs]
    payloads = [read_checked(path) for path in paths]
    first = {path: position for position, path in reversed(list(enumerate(paths)))}  # equal inputs count once
    missing = [position for path, position in first.items() if payloads[position] is None]
    found = {path: _array(payloads[position]) for path, position in first.items() if payloads[position] is not None}
    if missing:
        for position, array in zip(missing, compute(missing), strict=True):
            stream = io.BytesIO()
            np.save(stream, array, allow_pickle=False)
            write_checked(paths[position], stream.getvalue())
            found[paths[position]] = array
    return [found[path] for path in paths]


def _array(payload):
    return np.load(io.BytesIO(payload), allow_pickle=False)


def _entry(name, depends_on, compute, encode, decode):
    path = folder() / f"{name}-{digest(depends_on)[:16]}"
    payload = read_checked(path)
    if payload is not None:
        return decode(payload)
    payload = encode(compute())
    write_checked(path, payload)
    return decode(payload)  # what every later call returns, to the type


def read_checked(path):
    """The bytes stored at `path`, or None if there are none or they fail their checksum."""
    try:
        stored = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        _notice(f"cannot read the cache file {path} ({error}); computing its content again")
        return None
    head, payload = stored[: len(MAGIC) + 65], stored[len(MAGIC) + 65 :]
    if head == MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n":
        return payload
    _notice(f"the cache file {path} is damaged; computing its content again")
    return None


def write_checked(path, payload):
    """Store bytes with their checksum; a reader sees the whole file or none of it.

    A folder that cannot be written to costs a notice, never the result.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".partial-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        _notice(
            f"cannot write to the cache folder {path.parent} ({error.strerror}); results are computed "
            "each time. Make it writable, or set HELPERS_CACHE to a folder that is."
        )


def _notice(message):
    warnings.warn(message, CacheNotice, stacklevel=5)
