"""`python -m helpers.monitoring`: train a head for a minute at most, and watch its curves as a table."""

import argparse
import sys
import tempfile
from pathlib import Path

from .log import OptimizationMonitor

COLUMNS = ("train_loss", "val_loss", "train_acc", "running_acc", "val_acc")


def main(arguments=None):
    """Train, log and print a line an epoch; go on where an interrupted run of the same log ended."""
    parser = argparse.ArgumentParser("python -m helpers.monitoring", description=__doc__.partition(": ")[2])
    parser.add_argument("--size", type=int, default=300, help="training texts (default 300)")
    parser.add_argument("--noise", type=float, default=0.2, help="share of wrong training labels (default 0.2)")
    parser.add_argument("--epochs", type=int, default=30, help="(default 30)")
    parser.add_argument("--dropout", type=float, default=0.5, help="(default 0.5)")
    parser.add_argument("--seed", type=int, default=0, help="of the training set and everything random (default 0)")
    parser.add_argument("--log", help="the file to log to (default: one in a temporary folder, which is then gone)")
    parser.add_argument("--tensorboard", metavar="FOLDER", help="also write the curves for TensorBoard")
    chosen = parser.parse_args(arguments)
    settings = {name: value for name, value in vars(chosen).items() if name not in ("log", "tensorboard", "epochs")}
    with tempfile.TemporaryDirectory() as temporary:
        try:
            with OptimizationMonitor(chosen.log or Path(temporary) / "run.jsonl", settings) as monitor:
                watch(monitor, chosen)
                if chosen.tensorboard:
                    monitor.to_tensorboard(chosen.tensorboard)
        except (ValueError, RuntimeError, ImportError, OSError) as error:
            parser.error(str(error))


def watch(monitor, chosen):
    """Train with the settings chosen, log what the monitor has not yet, and print the table."""
    from .alarms import load_texts
    from .watched import train_watched

    texts = load_texts()
    x, y = texts.draw(chosen.size, [chosen.seed], chosen.noise)
    training = train_watched(
        (x[0], y[0]), texts.rows(texts.monitor), texts.classes, chosen.epochs, chosen.dropout, seed=chosen.seed
    )
    print(f"{'epoch':>6} " + " ".join(f"{name:>12}" for name in COLUMNS))
    for epoch, metrics in enumerate(training, start=1):
        known = epoch <= monitor.epochs  # the run is repeated up to where its log ends
        if not known:
            monitor.log_epoch(metrics, epoch)
        row = monitor.rows[epoch - 1]
        best = "  lowest val_loss so far" if row["val_loss"] <= min(r["val_loss"] for r in monitor.rows[:epoch]) else ""
        line = " ".join(f"{row[name]:12.3f}" for name in COLUMNS)
        print(f"{epoch:6d} {line}{'  from the log' if known else best}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
