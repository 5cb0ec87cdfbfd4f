"""The rehearsal in a terminal: plain text, a line at a time, with or without a tty.

A typed answer ends with a line that holds a single dot, or with Ctrl-D. Every line is in the log as soon as it is
entered. Ctrl-C saves, shows the report and leaves; a closed window does the same without the report.
"""

import os
import signal
import sys
import textwrap
from contextlib import suppress
from dataclasses import replace

from . import bank as banks
from . import core
from .log import Log
from .session import Session

WIDTH = 88


class _Left(Exception):
    """The learner goes (Ctrl-C, a closed window, or no more input). `typed`: the line that was not entered yet."""

    def __init__(self, typed=""):
        super().__init__(typed)
        self.typed = typed


def rehearse(session, start=None, speak=print):
    """Run a session to its end. start: values of the first form, to begin without asking. speak: prints a line."""
    for sentence in session.skipped:
        speak(f"note: {sentence}")
    try:
        with _signals():
            view = session.view if start is None else _step(session, session.view, start, speak)
            while view.stage != "end":
                show(view, speak)
                if view.stage in ("question", "follow-up"):
                    speak("\nEnd with a line that holds a single dot, or with Ctrl-D. Ctrl-C saves and leaves.")
                view = _step(session, view, None, speak)
        show(view, speak)
    except _Left:
        view = session.send("leave")
        with suppress(OSError):  # the window may be closed
            if view.stage == "report":
                show(view, speak)
            speak("\nSaved.")


def _step(session, view, start, speak):
    "Ask for the view's fields, send its action; where that is refused, say why and ask again, with all that was typed."
    while True:
        if start is None:
            event = _chosen_action(view, speak)
            values = {field.name: _ask(session, view, field, speak) for field in view.fields}
        else:
            event, values, start = view.actions[0].event, start, None
        if event == "start" and values["mode"] in ("mock", "drill"):
            speak("\nLoading the encoder that the hints need …")
            session.warm()
        try:
            return session.send(event, **values)
        except (ValueError, OSError) as error:
            speak(f"{error}")
            kept = tuple(replace(field, value=values[field.name]) for field in view.fields if field.name in values)
            view = replace(view, fields=kept)


# ---- showing


def show(view, speak=print):
    """A view's heading and blocks as text."""
    speak("")
    speak(f"{view.heading}")
    speak("=" * len(view.heading))
    for block in view.blocks:
        speak(f"\n{block.label}:" if block.label else "")
        indent = "  " if block.label else ""
        for line in block.text.split("\n"):
            speak(_wrapped(line, indent, "| " if block.style == "quote" else ""))


def _wrapped(line, indent, mark):
    "Wrapped to the width; lines that are laid out already, such as a table, stay as they are."
    if "  " in line.strip():
        return f"{indent}{mark}{line}"
    hanging = indent + mark + ("  " if line.startswith("- ") else "")
    return textwrap.fill(line, WIDTH, initial_indent=indent + mark, subsequent_indent=hanging) or indent + mark


# ---- asking


def _chosen_action(view, speak):
    if len(view.actions) == 1:
        if not view.fields:
            _line(f"[Enter] {view.actions[0].label} ")
        return view.actions[0].event
    actions = core.Field("action", "What next?", "choice", view.actions[-1].event,
                         tuple((action.event, action.label) for action in view.actions))  # fmt: skip
    return _ask_choice(actions, speak)


def _ask(session, view, field, speak):
    if field.kind == "text":
        return _ask_text(session, view, field, speak)
    if field.kind == "choice":
        return _ask_choice(field, speak)
    speak(f"\n{field.label}")
    return _line(f"[{field.value}] ").strip() or field.value


def _ask_choice(field, speak):
    "Numbered choices; Enter takes the one in brackets, if there is one."
    speak(f"\n{field.label}")
    values = [value for value, _ in field.choices]
    for number, (_, label) in enumerate(field.choices, start=1):
        speak(_wrapped(f"{number}. {label}", "  ", ""))
    default = f"[{values.index(field.value) + 1}] " if field.value in values else ""
    while True:
        typed = _line(f"number 1 to {len(values)} {default}").strip()
        if not typed and default:
            return field.value
        if typed.isdecimal() and 1 <= int(typed) <= len(values):
            return values[int(typed) - 1]
        speak(f"{typed!r} is none of them: type a number from 1 to {len(values)}")


def _ask_text(session, view, field, speak):
    "Lines up to a single dot or the end of input, each kept as a draft when it is entered."
    lines = field.value.split("\n") if field.value else []
    if lines:
        speak(f"\n{field.label}, as far as it was typed (go on below it; a line with only /new starts afresh):")
        for line in lines:
            speak(_wrapped(line, "  ", "| "))
    else:
        speak(f"\n{field.label}:")
    while True:
        try:
            line = _line("> ", ends=bool(lines) or view.stage == "follow-up")
        except _Left as left:
            _keep(session, [*lines, left.typed], speak)
            raise
        if line is None or line.strip() == ".":
            return "\n".join(lines)
        lines = [] if line.strip() == "/new" else [*lines, line]
        _keep(session, lines, speak)


def _keep(session, lines, speak):
    "As a draft in the log. Where that fails the lines are still here, and the learner goes on."
    try:
        session.send("draft", text="\n".join(lines))
    except OSError as error:
        speak(f"note: {error}")


def _line(prompt, ends=False):
    "One line of input. At its end: None if `ends` (an answer may end so), otherwise the learner has left."
    try:
        line = input(prompt)
        if not sys.stdin.isatty():
            print()  # nobody pressed Enter
        return line
    except EOFError:
        print()
        if ends:
            return None
        raise _Left from None


class _signals:
    """While it lasts, Ctrl-C, a closed window and a polite kill raise `_Left` with the line typed so far."""

    NAMES = ("SIGINT", "SIGTERM", "SIGHUP")

    def __enter__(self):
        self._before = {}
        for name in self.NAMES:
            if hasattr(signal, name):
                number = getattr(signal, name)
                self._before[number] = signal.signal(number, self._leave)

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @staticmethod
    def _leave(*_):
        raise _Left(_typed_so_far())


def _typed_so_far():
    try:
        import readline
    except ImportError:
        return ""
    return readline.get_line_buffer()


# ---- the command


def main(arguments):
    """Do what the options of `python -m helpers rehearse` say. Raises ValueError and FileExistsError."""
    log = Log()
    if arguments.export:
        print(f"{log.export(arguments.export)} events written to {arguments.export}")
    elif arguments.delete:
        _delete(log, arguments.yes)
    elif arguments.anki:
        from . import anki

        print(f"{anki.write(banks.load(), arguments.anki)} notes written to {arguments.anki}")
    else:
        _import_readline()
        session = Session()
        rehearse(session, _first_form(session, arguments))


def _first_form(session, arguments):
    "The values of the first form, or None to ask for them."
    if not (arguments.mode or arguments.topic or arguments.level or arguments.minutes or arguments.untimed):
        return None
    plan = core.Plan()
    minutes = plan.minutes if arguments.minutes is None else arguments.minutes
    return {"mode": arguments.mode or plan.mode, "topic": _topic(session.bank, arguments.topic), "minutes": minutes,
            "level": arguments.level or core.ANY, "timed": "no" if arguments.untimed else "yes"}  # fmt: skip


def _topic(bank, asked):
    if asked is None:
        return core.ANY
    found = [topic for topic in bank.topics if topic.casefold().startswith(asked.strip().casefold())]
    if len(found) != 1:
        raise ValueError(f"--topic: {asked!r} must begin one of: {', '.join(bank.topics)}")
    return found[0]


def _delete(log, sure):
    if not sure:
        try:
            sure = input(f"Delete {log.path} for good? Type yes: ").strip().lower() == "yes"
        except EOFError:
            sure = False
    if not sure:
        print("Nothing was deleted.")
    else:
        print("Your progress is deleted." if log.delete() else "There was no progress to delete.")


def _import_readline():
    "With it a line can be edited and be longer than the 4,095 bytes that a terminal hands over by itself."
    if sys.stdin.isatty() and os.name != "nt":
        try:
            import readline  # noqa: F401
        except ImportError:
            return
