"""The rehearsal in a notebook cell: `interview()` draws the core's views with ipywidgets.

It can be used by keyboard alone: Tab goes from one choice, field or button to the next, Space chooses and presses.
(The arrow keys, and letters outside a text, are the notebook's own.) A new view puts the focus into the text to be
typed, or on its heading. What is typed is in the log within a second or so, whether it is submitted or not.
"""

import asyncio
import html
import threading
import weakref
from contextlib import suppress

import ipywidgets as widgets

from . import report as reports
from . import schedule
from .report import clock
from .session import Session

BEAT = 1.0  # seconds between two looks at the clock and at what is typed
SETTLE = 0.2  # seconds without a change after which a text counts as arrived
STILL = 3600  # seconds, beyond the time allowed, without a keystroke: then nobody looks at the clock any more
MANY = 5  # choices; more than these stand in columns
BY_KEYBOARD = "By keyboard: Tab moves on, Space chooses and presses."


def interview(session=None):
    """The rehearsal as one widget, to be a cell's last line.

    session: a `Session`; by default a new one with the learner's own progress. Nothing is written before "Start"
    is pressed. Another such widget, or a session in a terminal, may run beside it.
    """
    return Interview(Session() if session is None else session)


class Interview(widgets.VBox):
    """Draws `session.view`. `fields` and `buttons` are those on the screen, by the names that the view gives them."""

    def __init__(self, session):
        self.session, self.fields, self.buttons = session, {}, {}
        self._problems, self._drawn, self._kept = {}, None, ""
        self._taking_turns = threading.RLock()  # a click, a keystroke and the clock may come in different threads
        self._stopped, self._last_key = threading.Event(), session.now()
        # a label can take the focus, an HTML widget or a box cannot; tabbable=False: it the Tab key passes it by
        self._heading = widgets.Label(tabbable=False).add_class("rehearsal-heading")
        self._timer, self._status = widgets.HTML(), widgets.HTML()
        super().__init__()
        self.add_class("rehearsal")
        self._draw()

    def __repr__(self):
        return f"The rehearsal, in the stage {self._drawn.stage!r}"  # the same in every run of a notebook

    def close(self):
        """Keep what is typed, and take the widget off the screen."""
        with self._taking_turns:
            self._stopped.set()
            self._keep()
            _close_all(self.children)
            super().close()

    # ---- showing

    def _draw(self):
        "The session's view, from top to bottom."
        self._stopped.set()
        view = self._drawn = self.session.view
        self.fields = {field.name: _input(field, view.stage) for field in view.fields}
        self._problems = {name: widgets.HTML() for name in ("", *self.fields)}  # "": of no field
        self.buttons = self._buttons(view)
        self._heading.value = view.heading
        self._timer.value = _time_left(view.timer, self.session.now()) if view.timer else ""
        self._status.value = ""
        old = [child for child in self.children if child not in (self._heading, self._timer, self._status)]
        self.children = (
            widgets.HTML(f"<style>{STYLE}</style>"), self._heading, widgets.HTML(_body(view, self.session.skipped)),
            self._timer, *(row for name, field in self.fields.items() for row in (field, self._problems[name])),
            self._problems[""], widgets.Box(list(self.buttons.values())).add_class("rehearsal-buttons"), self._status,
        )  # fmt: skip
        _close_all(old)
        if "text" in self.fields:
            self._kept = self.fields["text"].value
            self.fields["text"].observe(self._typed, "value")
            self._watch()

    def _buttons(self, view):
        labels = {action.event: action.label for action in view.actions}
        if view.stage not in ("choose", "report", "end"):
            labels["leave"] = "End this session"
        made = {}
        for event, label in labels.items():
            button = widgets.Button(description=label, button_style="" if made else "primary")
            button.on_click(lambda _, event=event: self._press(event, view))
            made[event] = button
        return made

    def _focus(self):
        "To the text to be typed; otherwise to the heading, so that reading begins at the top."
        if "text" not in self.fields:
            self._heading.focus()
            return
        field = self.fields["text"]

        def displayed(change):
            field.unobserve(displayed, "_view_count")
            field.focus()

        field.observe(displayed, "_view_count")
        field._view_count = 0  # from now on the browser counts how often it shows the field

    def _complain(self, error):
        "In words, beside the field that the error names; the focus goes there."
        name, _, text = str(error).partition(": ")
        if isinstance(error, ValueError) and name in self.fields:
            self._problems[name].value = _problem(text)
            self.fields[name].focus()
        else:
            self._problems[""].value = _problem(str(error))

    # ---- doing

    def _press(self, event, view):
        "A button: wait for the last keystrokes, which may be on their way, then take the step."
        for button in self.buttons.values():
            button.disabled = True
        _when_settled(self.fields.get("text"), lambda: self._step(event, view))

    def _step(self, event, view):
        with self._taking_turns:
            if self._drawn is not view:  # pressed twice
                return
            for problem in self._problems.values():
                problem.value = ""
            values = {name: field.value for name, field in self.fields.items()}
            try:
                if event == "leave":
                    self._keep()
                if event == "start" and values["mode"] in ("mock", "drill"):
                    self._status.value = _block("", "Loading the encoder that the hints need: a few seconds …", "note")
                    self.session.warm()
                self.session.send(event, **values)
            except (ValueError, OSError) as error:
                self._complain(error)
            else:
                self._draw()
                self._focus()
            finally:
                self._status.value = ""
                for button in self.buttons.values():
                    button.disabled = False

    # ---- while a text is being typed

    def _typed(self, change):
        with self._taking_turns:
            self._last_key = self.session.now()
            if self._stopped.is_set():
                self._watch()

    def _watch(self):
        self._stopped = threading.Event()
        # not a task of the event loop: which loop it would be depends on the front end, and a long cell blocks it
        threading.Thread(target=_beats, args=(weakref.ref(self), self._stopped), name="rehearsal", daemon=True).start()

    def _beat(self, stopped):
        "Every second: show the time, keep the text. False when there is nothing more to look at."
        with self._taking_turns:
            if stopped.is_set():
                return False
            self._keep()
            now, timer = self.session.now(), self._drawn.timer
            quiet = _seconds(self._last_key, now)
            if timer:
                self._timer.value = _time_left(timer, now)
                quiet = min(quiet, _seconds(timer.since, now) - timer.seconds)
            if quiet > STILL:
                stopped.set()
            return not stopped.is_set()

    def _keep(self):
        "The text as a draft in the log. If the disk refuses it, that is said, and the next second tries again."
        text = self.fields["text"].value if "text" in self.fields else self._kept
        if text == self._kept:
            return
        try:
            self.session.send("draft", text=text)
        except OSError as error:
            self._problems["text"].value = _problem(f"not kept yet: {error}")
        else:
            self._kept, self._problems["text"].value = text, ""


def _beats(interview, stopped):
    "Until the stage ends, or the widget is closed or forgotten."
    while not stopped.wait(BEAT):
        alive = interview()
        if alive is None or not alive._beat(stopped):
            return
        del alive


def _when_settled(field, then):
    """Call `then` once the text of a field has stopped changing.

    A browser sends a click at once, but of the keystrokes before it only what the kernel is ready for.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # no front end
        loop = None
    if loop is None or field is None:
        then()
        return

    def look(before):
        if field.value == before:
            then()
        else:
            loop.call_later(SETTLE, look, field.value)

    loop.call_later(SETTLE, look, field.value)


def _close_all(parts):
    for part in parts:
        _close_all(getattr(part, "children", ()))
        for own in (getattr(part, "style", None), part.layout, part):
            with suppress(AttributeError):
                own.close()


# ---- what a view is made of


def _input(field, stage):
    "The widget of a `core.Field`."
    if field.kind == "choice":
        options = [(label, value) for value, label in field.choices]
        made = widgets.RadioButtons(options=options, value=field.value)
        if len(options) > MANY:
            made.add_class("rehearsal-columns")
    elif field.kind == "number":
        made = widgets.IntText(value=field.value)
    else:
        made = widgets.Textarea(value=field.value, rows=10 if stage == "question" else 5, continuous_update=True)
    made.description = field.label
    made.add_class("rehearsal-field")
    return made


def _body(view, skipped):
    "The blocks as HTML; before the first question what the log had to leave out, and in the report the trend."
    shown = [_block(block.label, block.text, block.style) for block in view.blocks]
    if view.stage == "choose":
        shown = [*(_block("Your progress", text, "note") for text in skipped), *shown, _block("", BY_KEYBOARD, "note")]
    if view.report and view.report.trend:
        shown.append(_trend(view.report))
    return "".join(shown)


def _block(label, text, style):
    label = f'<div class="rehearsal-label">{html.escape(label)}</div>' if label else ""
    return f'<div class="rehearsal-{style}">{label}{_lines(text, as_typed=style == "quote")}</div>'


def _lines(text, as_typed=False):
    """A text as HTML: items ("- ") as lists, lines laid out with spaces as they are, other lines as paragraphs.

    as_typed: every line is a paragraph, whatever the learner began it with.
    """
    parts, kinds = [], []
    for line in text.split("\n"):
        if not as_typed and line.startswith("  ") and kinds and kinds[-1] == "li":  # goes on with the item above
            parts[-1] += f"<br>{html.escape(line.strip())}"
            continue
        kind = "p" if as_typed else "li" if line.startswith("- ") else "pre" if "  " in line.strip() else "p"
        parts.append(html.escape(line.removeprefix("- ") if kind == "li" else line))
        kinds.append(kind)
    shown = []
    for position, (kind, part) in enumerate(zip(kinds, parts, strict=True)):
        opens = kind == "li" and (position == 0 or kinds[position - 1] != "li")
        closes = kind == "li" and (position + 1 == len(kinds) or kinds[position + 1] != "li")
        shown.append(f'{"<ul>" * opens}<{kind} dir="auto">{part}</{kind}>{"</ul>" * closes}')
    return "".join(shown)


def _trend(report):
    "The figure of the trend; the same as text is its alternative."
    drawn = reports.figure(report)
    image = drawn._repr_mimebundle_()[0]["image/png"]
    alternative = html.escape(f"{drawn.get_suptitle()}. {reports.trend_text(report.trend)}", quote=True)
    return f'<img class="rehearsal-trend" alt="{alternative}" src="data:image/png;base64,{image}">'


def _problem(text):
    "role=alert: a screen reader says it at once."
    return f'<div role="alert" class="rehearsal-problem"><b>Problem:</b> {html.escape(text)}</div>'


def _time_left(timer, now):
    "Never a sound and never an end; it just counts on."
    used = _seconds(timer.since, now)
    if used <= timer.seconds:
        text = f"Time: {clock(used)} of {clock(timer.seconds)}"
    else:
        over = clock(used - timer.seconds)
        text = f"Time: {clock(used)} of {clock(timer.seconds)}, overtime {over}. Go on until you are done."
    return f'<div role="timer" class="rehearsal-timer">{text}</div>'


def _seconds(since, now):
    return max(0.0, (schedule.moment(now) - schedule.moment(since)).total_seconds())


# Sizes for the back of a room. Colours are the theme's; where they carry something, words say it as well.
# The label stands above its field, and a long one wraps: ipywidgets by itself would cut it.
STYLE = """
.rehearsal {
  --jp-widgets-font-size: 18px; --jp-widgets-inline-height: 40px; --jp-widgets-inline-width: 100%;
  max-width: 64rem; padding: 4px 8px 16px; font-size: 18px; color: var(--jp-ui-font-color1, inherit);
}
.rehearsal :focus-visible { outline: 3px solid var(--jp-brand-color1, Highlight) !important; outline-offset: 2px; }
.rehearsal .rehearsal-heading, .rehearsal .rehearsal-heading:focus {
  height: auto; font-size: 28px; font-weight: 700; line-height: 1.4; white-space: normal; outline-offset: 4px;
}
.rehearsal .widget-html-content { line-height: 1.45; color: inherit; }
.rehearsal p, .rehearsal pre, .rehearsal li { margin: 0 0 4px; line-height: 1.45; font-size: inherit; color: inherit; }
.rehearsal p { min-height: 0.6em; white-space: pre-wrap; overflow-wrap: anywhere; }
.rehearsal pre { font-size: 16px; background: none; overflow-x: auto; }
.rehearsal ul { margin: 0 0 4px; padding-left: 1.2em; }
.rehearsal-label { font-weight: 700; }
.rehearsal-text, .rehearsal-question, .rehearsal-quote, .rehearsal-note { margin: 0 0 14px; }
.rehearsal .rehearsal-question p { font-size: 24px; line-height: 1.35; }
.rehearsal-quote { border-left: 4px solid currentColor; padding-left: 12px; }
.rehearsal .rehearsal-note p { font-style: italic; }
.rehearsal-timer { font-weight: 700; font-variant-numeric: tabular-nums; }
.rehearsal-problem { border: 2px solid currentColor; padding: 4px 10px; margin-bottom: 8px; }
.rehearsal-trend { max-width: 100%; background: white; }
.rehearsal .rehearsal-field { display: flex; flex-direction: column; align-items: stretch; margin: 0 0 10px; }
.rehearsal .rehearsal-field > .widget-label {
  width: auto; height: auto; margin: 0; text-align: left; font-weight: 700; line-height: 1.6; white-space: normal;
}
.rehearsal .widget-radio-box { margin-bottom: 0 !important; }
.rehearsal .rehearsal-columns .widget-radio-box {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(18rem, 1fr)); column-gap: 24px;
}
.rehearsal .widget-radio-box label {
  display: flex; flex-direction: row-reverse; justify-content: flex-end; align-items: flex-start; gap: 10px;
  height: auto; padding: 3px 0 3px 4px; line-height: 1.4; white-space: normal;
}
.rehearsal .widget-radio-box input { flex: none; width: 19px; height: 19px; margin: 3px 0 0; }
.rehearsal textarea { width: 100%; line-height: 1.45; font-family: inherit; resize: vertical; }
.rehearsal input[type=number] { flex: none; width: 7em; }
.rehearsal-buttons { flex-flow: row wrap; gap: 12px; overflow: visible; }
.rehearsal .jupyter-button { width: auto; padding: 0 20px; font-weight: 600; border: 1px solid currentColor; }
.rehearsal .jupyter-button.mod-primary, .rehearsal .jupyter-button.mod-primary:active {
  color: white; background: #0b57a4;
}
"""
