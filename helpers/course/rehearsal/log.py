"""The learner's progress on disk: `rehearsal.jsonl`, one event a line, only ever added to.

It lies in the user's own data folder, or in `$REHEARSAL_HOME`. A line is the event as JSON with the format's
version and a checksum. It is written by one call, between line breaks of its own, and is on the disk before
`append` returns. So a process that is killed loses at most the line that it was writing, and neither a
half-written line, nor a damaged one, nor a second session that writes at the same time costs any other line.
"""

import json
import os
import zlib
from datetime import UTC, datetime
from pathlib import Path

import platformdirs

VERSION = 1
NAME = "rehearsal.jsonl"


def folder():
    """Where progress is kept: `$REHEARSAL_HOME`, or the user's data folder as the system has it."""
    chosen = os.environ.get("REHEARSAL_HOME")
    return Path(chosen) if chosen else Path(platformdirs.user_data_dir("improve-and-scale", appauthor=False))


class Log:
    """The event log in a folder; the folder and the file are made when the first event is appended."""

    def __init__(self, home=None):
        self.path = Path(home if home is not None else folder()) / NAME

    def append(self, event):
        """Write one event, a dict of JSON values. Raises OSError, with the mend, if that cannot be."""
        body = {"v": VERSION, **event}
        line = json.dumps(body | {"crc": _checksum(body)}, ensure_ascii=False, allow_nan=False)
        data = f"\n{line}\n".encode("utf-8", "surrogatepass")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_APPEND | os.O_CREAT | os.O_WRONLY | getattr(os, "O_BINARY", 0)
            handle = os.open(self.path, flags, 0o600)  # for nobody else's eyes
            try:
                written = os.write(handle, data)
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise self._refused("write", error) from None
        if written != len(data):
            raise OSError(f"the disk took only a part of the last event: make room for {self.path}, then go on")

    def read(self):
        """(events, skipped): the events in the order they were written, and a sentence for each line left out."""
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return [], []
        except OSError as error:
            raise self._refused("read", error) from None
        events, skipped = [], []
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                events.append(_event(line))
            except ValueError as error:
                skipped.append(f"line {number} of {self.path.name} was skipped: {error}")
        return events, skipped

    def export(self, target):
        """Write all events into a new file, as one readable JSON document. Returns how many there were.

        Raises FileExistsError rather than write over something.
        """
        events, skipped = self.read()
        document = {"exported": datetime.now(UTC).isoformat(timespec="seconds"), "events": events, "skipped": skipped}
        try:
            with open(target, "x", encoding="utf-8", errors="backslashreplace") as file:
                json.dump(document, file, indent=1, ensure_ascii=False)
        except FileExistsError:
            raise FileExistsError(f"{target} exists already: name a new file") from None
        return len(events)

    def delete(self):
        """Remove the file for good. Returns whether there was one."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        return True

    def _refused(self, doing, error):
        return OSError(
            f"cannot {doing} your progress in {self.path} ({error.strerror}): put that right, or name another folder "
            "in REHEARSAL_HOME"
        )


def _event(line):
    "One line as a dict. Raises ValueError saying what is wrong with it."
    try:
        found = json.loads(line.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        raise ValueError("it is damaged or was only half written") from None
    if not isinstance(found, dict) or found.pop("crc", None) != _checksum(found):
        raise ValueError("it is damaged: its checksum does not fit")
    if found["v"] != VERSION:
        raise ValueError(f"it was written by another version of the course (format {found['v']}, here {VERSION})")
    return found


def _checksum(body):
    "Of the content, whatever the order and spacing."
    return f"{zlib.crc32(json.dumps(body, sort_keys=True).encode()):08x}"
