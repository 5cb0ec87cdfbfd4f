"""`python -m helpers`: the course's commands."""

import argparse
import json
import sys
import warnings


def ask(arguments):
    from .assistant import agent

    answer = agent.Assistant().ask(arguments.question, seed=arguments.seed)
    if arguments.json:
        print(json.dumps({"question": arguments.question, "answer": answer.text, "tool": answer.tool,
                          "sources": [vars(source) for source in answer.sources], "seconds": answer.seconds,
                          "notes": answer.notes}, indent=2))  # fmt: skip
        return
    print(answer.text)
    for source in answer.sources:
        print(f"  source: {source.name} ({answer.tool})")
    for note in answer.notes:
        print(f"  note: {note}")


def doctor(arguments):
    from .course.doctor import report

    sys.exit(0 if report() else 1)


def warm(arguments):
    from . import augmentation, baseline, before_after
    from .course.rehearsal import bank, hints
    from .monitoring import drift
    from .scaling.vector_search import corpora

    baseline.warm()
    augmentation.warm()
    print("lesson 08, questions", flush=True)
    drift.load_traffic()
    corpora.warm()
    before_after.warm()
    print("lesson 11, the rehearsal's questions", flush=True)
    hints.warm(bank.load())


def bench(arguments):
    from .course import bench

    bench.main(large=arguments.large)


def rehearse(arguments):
    from .course.rehearsal import terminal

    terminal.main(arguments)


def _rehearsal_options(command):
    option = command.add_argument
    option("--mode", choices=("mock", "drill", "flags", "flashcards"), help="without options you are asked")
    option("--topic", help="a topic or its beginning, as in the list that is shown without options")
    option("--level", choices=("1", "2", "3"), help="1 explain, 2 decide and justify, 3 design and defend")
    option("--minutes", type=int, help="how long (default 20)")
    option("--untimed", action="store_true", help="do not watch the time")
    option("--export", metavar="FILE", help="write your progress into a new JSON file, and stop")
    option("--delete", action="store_true", help="delete your progress for good, and stop")
    option("--yes", action="store_true", help="with --delete: do not ask")
    option("--anki", metavar="FILE.apkg", help="write the questions as a deck for Anki, and stop")


def main():
    parser = argparse.ArgumentParser(
        prog="python -m helpers",
        description="The course's assistant, and what keeps the course in order.",
        epilog="Lessons have commands of their own, such as python -m helpers.tuning --method tpe --trials 100 "
        "or python -m helpers.monitoring; README.md lists them, and each explains itself with --help.",
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    command = commands.add_parser("ask", help="ask the assistant a question about an installed library")
    command.add_argument("question")
    command.add_argument("--json", action="store_true", help="print everything as JSON")
    command.add_argument("--seed", type=int, default=0, help="of sampling, where the temperature is above 0")
    command.set_defaults(run=ask)
    commands.add_parser("doctor", help="is this machine ready for the course?").set_defaults(run=doctor)
    commands.add_parser("warm", help="compute once what several notebooks need").set_defaults(run=warm)
    command = commands.add_parser("bench", help="measure the course's budgets on this machine")
    command.add_argument("--large", action="store_true", help="include what takes many minutes")
    command.set_defaults(run=bench)
    command = commands.add_parser("rehearse", help="a mock interview, in this terminal; what you do stays here")
    _rehearsal_options(command)
    command.set_defaults(run=rehearse)
    arguments = parser.parse_args()
    warnings.simplefilter("default", category=UserWarning)
    try:
        arguments.run(arguments)
    except (ValueError, ImportError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
