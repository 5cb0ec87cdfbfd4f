"""`OptimizationMonitor`: the curves of a training run in a file that survives whatever happens to the run."""

import json
import math
import os
import time
import warnings
from pathlib import Path

import matplotlib as mpl
import numpy as np
from filelock import FileLock, Timeout

from .. import plots

FORMAT = "optimization-monitor 1"
REQUIRED = ("train_loss", "val_loss", "train_acc", "val_acc")
SHARES = ("train_acc", "val_acc")


class DamagedLog(UserWarning):
    """The end of a log was cut off; it was set aside, and every whole epoch was kept."""


class GuideMonitor:
    """The guide's OptimizationMonitor, kept to show where it fails: compare `OptimizationMonitor`."""

    def __init__(self):
        names = (*REQUIRED, "inference_time", "memory_usage")
        self.metrics = {name: [] for name in names}

    def log_epoch(self, epoch_metrics):
        """Append each value to the list of its name."""
        for key, value in epoch_metrics.items():
            self.metrics[key].append(value)


class OptimizationMonitor:
    """Curves of one training run, one line of JSON an epoch, appended to a file.

    path: the log; a run that was interrupted goes on in it. settings: what the run is, kept in the
    first line. A line is on the disk before `log_epoch` returns, so a process that is killed loses at
    most the epoch that it was writing. While a monitor is open no other process can write to its log.

    Raises ValueError if the log is of another run or damaged before its end, RuntimeError if another
    process is writing to it. Use it in a `with` statement, or call `close`.
    """

    def __init__(self, path, settings=None):
        self.path, self._shown, self._drawn = Path(path), None, 0.0
        settings = json.loads(json.dumps(settings or {}))  # as a log gives them back
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(f"{self.path}.lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise RuntimeError(f"another process is writing to {self.path}: give this run a log of its own") from None
        try:
            self.settings, self.rows = self._resume(settings) if self._has_content() else (settings, [])
            self._file = os.open(self.path, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
            if not self._has_content():
                self._append({"format": FORMAT, "settings": settings})
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Release the log and draw the live figure once more; logging afterwards is an error."""
        if self._file is not None:
            self._redraw(at_once=True)
            os.close(self._file)
            self._file = None
            self._lock.release()

    # ---- writing

    def log_epoch(self, metrics, epoch=None):
        """Append one epoch.

        metrics: {name: number}. `REQUIRED` must be there, accuracies as shares from 0 to 1; usually also
        `inference_time` (seconds) and `memory_usage` (bytes), and whatever else the run has, always the
        same. epoch: counted from 1; the next one if None.

        A number that is not finite is written like the others, then a ValueError says so: training
        should stop, and the log tells why. Raises ValueError, with nothing written, for an epoch out of
        order and for a metric that is missing, unknown or impossible.
        """
        if self._file is None:
            raise ValueError(f"the monitor of {self.path} is closed: open it again to go on")
        expected = self.epochs + 1
        if epoch is not None and epoch != expected:
            known = "is in the log already" if epoch in range(1, expected) else "is out of order"
            raise ValueError(f"epoch {epoch} {known}: the next one is {expected}")
        row = self._checked(metrics, expected)
        self._append({"epoch": expected} | {name: _written(value) for name, value in row.items()})
        self.rows.append(row)
        self._redraw()
        bad = [name for name, value in row.items() if not math.isfinite(value)]
        if bad:
            values = ", ".join(f"{name} is {row[name]}" for name in bad)
            raise ValueError(
                f"epoch {expected}: {values}. It is in the log; lower the learning rate or look at the data"
            )

    def _checked(self, metrics, epoch):
        names = tuple(self.rows[0]) if self.rows else tuple(metrics)
        missing = [name for name in dict.fromkeys((*REQUIRED, *names)) if name not in metrics]
        unknown = [name for name in metrics if name not in names]
        if missing or unknown:
            said = [f"{', '.join(missing)} missing"] * bool(missing) + [f"{', '.join(unknown)} new"] * bool(unknown)
            raise ValueError(f"metrics of epoch {epoch}: {' and '.join(said)}; every epoch needs the same ones")
        try:
            row = {name: float(metrics[name]) for name in names}
        except (TypeError, ValueError):
            raise TypeError(f"metrics of epoch {epoch} must be numbers, got {dict(metrics)}") from None
        for name in SHARES:
            if row[name] < 0 or row[name] > 1:
                raise ValueError(f"{name} must be a share from 0 to 1, got {row[name]}: divide a percentage by 100")
        return row

    def _append(self, row):
        line = json.dumps(row, allow_nan=False).encode() + b"\n"
        if os.write(self._file, line) != len(line):
            raise OSError(f"the disk took only a part of epoch {self.epochs + 1}: {self.path}")
        os.fsync(self._file)

    # ---- reading

    def _has_content(self):
        return self.path.is_file() and self.path.stat().st_size > 0

    def _resume(self, settings):
        found, rows, whole, damaged = read_log(self.path)
        if settings and found is not None and found != settings:
            different = sorted(k for k in {*found, *settings} if found.get(k) != settings.get(k))
            said = ", ".join(f"{k} was {found.get(k)!r} and is {settings.get(k)!r}" for k in different)
            raise ValueError(f"{self.path} is the log of another run ({said}): give this run a log of its own")
        if damaged:
            aside = self.path.with_name(f"{self.path.name}.damaged")
            with open(aside, "ab") as file:
                file.write(damaged + b"\n")
            os.truncate(self.path, whole)
            warnings.warn(
                f"the last line of {self.path.name} was cut off; {len(rows)} whole epochs are kept, "
                f"the rest is in {aside.name}", DamagedLog, stacklevel=3,
            )  # fmt: skip
        return (settings if found is None else found), rows

    @property
    def epochs(self):
        """How many epochs are in the log."""
        return len(self.rows)

    @property
    def history(self):
        """{metric: float array (epochs,)}."""
        return {name: np.array([row[name] for row in self.rows]) for name in (self.rows[0] if self.rows else REQUIRED)}

    # ---- looking

    def figure(self, title="Learning curves"):
        """Loss and accuracy over the epochs, in training and on validation; the dotted line is the lowest loss."""
        return learning_curves(self.history, title)

    def live(self):
        """A widget with `figure()` that follows the run: show it, then train."""
        import ipywidgets

        self._shown = ipywidgets.Output()
        self._redraw(at_once=True)
        return ipywidgets.VBox([self._shown])

    def _redraw(self, at_once=False, every=0.5):
        if self._shown is not None and (at_once or time.monotonic() - self._drawn > every):
            self._shown.outputs = ()
            self._shown.append_display_data(self.figure(f"Epoch {self.epochs}"))
            self._drawn = time.monotonic()

    def to_tensorboard(self, folder):
        """Write every metric as a scalar into an event file in `folder`, through torch's own writer.

        Raises ImportError with the mend if tensorboard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError("the export needs tensorboard: pip install tensorboard") from error
        with SummaryWriter(str(folder)) as writer:
            for epoch, row in enumerate(self.rows, start=1):
                for name, value in row.items():
                    writer.add_scalar(name, value, epoch)


def read_log(path):
    """(settings, rows, bytes of whole lines, damaged end) of a log, without changing it.

    rows: a dict of floats for each whole epoch. settings: None if the first line itself is not whole.
    A last line without its end, or that is no JSON, is the damaged end (b"" if there is none).
    Raises ValueError naming the line for damage anywhere else.
    """
    lines = Path(path).read_bytes().splitlines(keepends=True)
    settings, rows, whole = None, [], 0
    for number, line in enumerate(lines, start=1):
        cut_off = not line.endswith(b"\n")
        try:
            found = _read_line(number, line if not cut_off else b"")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if number == len(lines) and (cut_off or number > 1):
                return settings, rows, whole, line
            raise ValueError(f"line {number} of {path} is damaged ({error}): mend or move the file") from None
        if number == 1:
            settings = found
        else:
            rows.append(found)
        whole += len(line)
    return settings, rows, whole, b""


def _read_line(number, line):
    "The settings from line 1, an epoch's metrics from the others."
    entry = json.loads(line)
    if number == 1:
        if entry["format"] != FORMAT:
            raise ValueError(f"not of {FORMAT}")
        return entry["settings"]
    if entry["epoch"] != number - 1:
        raise ValueError(f"epoch {entry['epoch']} is out of order")
    return {name: float(value) for name, value in entry.items() if name != "epoch"}


def _written(value):
    return value if math.isfinite(value) else str(value)  # JSON has no word for NaN


def learning_curves(history, title):
    """Figure of loss and accuracy over the epochs, from {metric: array (epochs,)}, running accuracy included."""
    made, axes = plots.figure(title, 2, width=10, height=4)
    epochs = np.arange(1, len(history["val_loss"]) + 1)
    names = {"train": "training", "val": "validation", "running": "training, as logged in train mode"}
    with mpl.rc_context(plots.STYLE):
        for axis, kind, label in zip(axes, ("loss", "acc"), ("log loss (nats)", "accuracy"), strict=True):
            for (prefix, name), marker, colour in zip(names.items(), plots.MARKERS, plots.COLOURS, strict=False):
                if f"{prefix}_{kind}" in history:
                    values = history[f"{prefix}_{kind}"]
                    every = max(1, len(epochs) // 8)
                    axis.plot(epochs, values, label=name, marker=marker, color=colour, markevery=every)
            if len(epochs) and np.isfinite(history["val_loss"]).any():
                axis.axvline(1 + np.nanargmin(history["val_loss"]), color="0.5", linestyle=":", linewidth=1.5)
            axis.set(xlabel="epoch", ylabel=label)
        axes[1].set_ylim(0, 1.02)
        axes[1].legend(fontsize=11, loc="lower right")
    return made


def as_logged(history):
    """The mean curves of a `training.History` of several runs, under the names that a monitor has for them."""
    curves = history.train_loss, history.train_accuracy, history.held_out_loss, history.held_out_accuracy
    names = ("train_loss", "train_acc", "val_loss", "val_acc")
    return {name: curve.mean(axis=0) for name, curve in zip(names, curves, strict=True)}
