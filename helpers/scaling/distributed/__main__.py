"""`python -m helpers.scaling.distributed`: the same training on one process and on several ranks."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from . import data, launch
from .training import Settings

SCRIPT = "helpers.scaling.distributed.training"


def main(arguments=None):
    parser = argparse.ArgumentParser(
        "python -m helpers.scaling.distributed",
        description="Train the library classifier on one process with all cores, then on several ranks with as many "
        "cores together, and compare. On a machine with GPUs each rank takes one.",
    )
    parser.add_argument("--ranks", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--epochs", type=int, default=20, help="default 20")
    parser.add_argument("--global-batch", type=int, default=64, help="texts of a step, over all ranks (default 64)")
    parser.add_argument("--width", type=int, default=512, help="of the two hidden layers (default 512)")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for each of the two runs (default 300)")
    chosen = parser.parse_args(arguments)
    try:
        Settings(global_batch=chosen.global_batch).micro_batch(chosen.ranks)
        report(chosen)
    except (ValueError, launch.RankError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; no rank is left")


def report(chosen):
    """Train twice and print a line for each."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "texts.npz")
        data.load().save(path)
        settings = [f"--epochs={chosen.epochs}", f"--global-batch={chosen.global_batch}", f"--width={chosen.width}"]
        print(f"{'ranks':>5} {'steps':>6} {'held-out accuracy':>18} {'norm of weights':>16} {'seconds':>8}")
        for ranks in dict.fromkeys((1, chosen.ranks)):
            printed = launch.torchrun(SCRIPT, f"--data={path}", "--progress", *settings, ranks=ranks,
                                      limit=chosen.limit, show=True)  # fmt: skip
            found = json.loads(printed.splitlines()[-1])
            print(f"{found['ranks']:5} {found['steps']:6} {found['accuracy']:18.3f} {found['weights']:16.5f} "
                  f"{found['seconds']:8.2f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
