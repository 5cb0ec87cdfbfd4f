"""`python -m helpers.before_after`: What each step from the guide's assistant to the course's is worth."""

import argparse

from ..assistant import corpus
from . import ablation
from .system import STEPS


def main(arguments=None):
    """Print the steps of an order with their effects on development questions."""
    parser = argparse.ArgumentParser("python -m helpers.before_after", description=__doc__.partition(": ")[2])
    parser.add_argument(
        "--order", nargs="+", default=ablation.FORWARD, choices=STEPS, metavar="STEP",
        help=f"steps, first one first, each at most once: {', '.join(map(repr, STEPS))} (default: all, in this order)",
    )  # fmt: skip
    parser.add_argument("--family", choices=corpus.FAMILIES, default="described", help="which questions")
    chosen = parser.parse_args(arguments)
    try:
        steps = ablation.in_order(chosen.order, chosen.family)
    except ValueError as error:
        parser.error(str(error))
    for step in steps:
        print(f"{step.name:13} {step.before:.3f} -> {step.after:.3f}   {step.effect}   {STEPS[step.name]}")


if __name__ == "__main__":
    main()
