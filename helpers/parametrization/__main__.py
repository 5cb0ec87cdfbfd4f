"""`python -m helpers.parametrization`: the guide's settings for so many documents, beside what was measured."""

import argparse
import sys
import textwrap

from ..assistant.config import GUIDE, Config
from .audit import KNOBS, audit
from .checklist import checklist

CONFIGS = {"guide": GUIDE, "course": Config()}


def main(arguments=None):
    parser = argparse.ArgumentParser("python -m helpers.parametrization", description=__doc__.partition(": ")[2])
    parser.add_argument("--documents", type=float, default=10_000, help="documents in the index (default 10000)")
    parser.add_argument("--config", choices=CONFIGS, default="guide", help="the guide's settings or the course's")
    parser.add_argument("--knob", action="append", help=f"only this one; may be repeated: {', '.join(KNOBS)}")
    parser.add_argument("--project", help="look for the guide's ten points in this folder instead")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.project:
            print("\n".join(map(str, checklist(chosen.project))))
            return
        rows = audit(CONFIGS[chosen.config], chosen.documents, chosen.knob)
    except ValueError as error:
        sys.exit(f"error: {error}")
    for row in rows:
        print(f"{row.knob} = {row.current}   [{row.kind}]")
        told = {"guide": "; ".join(map(str, row.recommended)) or "says nothing", "measured": row.measured,
                "changes": row.can, "not": row.cannot}  # fmt: skip
        if row.contradicts:
            told["guide"] += "  <- these exclude each other"
        for name, text in told.items():
            print(textwrap.fill(text, 110, initial_indent=f"  {name:9} ", subsequent_indent=" " * 12))


if __name__ == "__main__":
    main()
