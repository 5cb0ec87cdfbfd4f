"""One learner at one screen: the core, with the clock, the log and the hints put to it. Front ends talk to this."""

import secrets
from dataclasses import replace
from datetime import datetime

from . import bank as banks
from . import core
from .log import Log
from .progress import replay


class Session:
    """`view` is what to show; `send` says what the learner did.

    home: folder of the log (default: the user's own, or `$REHEARSAL_HOME`). bank: a `bank.Bank`. plan: a
    `core.Plan` to show as chosen at first. clock: function returning an aware datetime.
    skipped: sentences about lines of the log that could not be read; show them.

    Nothing is written before the session is started, and the encoder is not loaded before the first hint, or `warm`.
    """

    def __init__(self, home=None, bank=None, plan=None, clock=None):
        self.bank = banks.load() if bank is None else bank
        self.log, self._clock = Log(home), clock or (lambda: datetime.now().astimezone())
        events, skipped = self.log.read()
        progress, refused = replay(events)
        self.skipped = (*skipped, *refused)
        self._state, self.view = core.start(self.bank, progress, _read, self.now(), plan)

    @property
    def progress(self):
        """What the log amounts to, this session included."""
        return self._state.progress

    def send(self, event, **values):
        """Take one step: log it, then show it. Returns the new view.

        event, values: see `core`. Raises ValueError for what does not fit, OSError if the log cannot be written;
        in both cases nothing has changed, so that what was typed can be sent again.
        """
        values = {"session": secrets.token_hex(4)} | values if event == "start" else values
        state = self._state
        if event in ("start", "grade"):  # another session may have written meanwhile
            state = replace(state, progress=replay(self.log.read()[0])[0])
        state, view, record = core.step(state, {"event": event, "at": self.now(), **values})
        if record is not None:
            self.log.append(record)
        self._state, self.view = state, view
        return view

    def warm(self):
        """Load the encoder and embed the bank's points, so that the first hints come quickly. A few seconds."""
        from . import hints

        hints.warm(self.bank)

    def now(self):
        """The time as events carry it: ISO 8601 with the offset from UTC."""
        return self._clock().isoformat(timespec="milliseconds")


def _read(question, text):
    from . import hints  # late: it loads torch, which flashcards do not need

    return hints.read(question, text)
