"""What the event log amounts to: cards, drafts, sessions. Rebuilt by replay, never stored."""

from dataclasses import dataclass, field, replace

from . import schedule

# what each kind of event must hold besides `event`, `at` and `session`
EVENTS = {
    "started": {"mode": str, "timed": bool, "questions": list},
    "draft": {"question": str, "part": str, "text": str},
    "answered": {"question": str, "text": str, "seconds": float, "over": float, "missing": list},
    "claimed": {"question": str, "claim": str, "claimed": bool},
    "judged": {"question": str, "statement": str, "said": bool, "right": bool},
    "replied": {"question": str, "point": str, "text": str, "found": bool},
    "graded": {"question": str, "grade": str, "seconds": float, "over": float, "missing": list, "claimed": list},
    "ended": {},
}


@dataclass(frozen=True)
class Review:
    """One self-grade, and what was known when it was given."""

    question: str
    grade: str
    at: str
    session: str
    seconds: float  # of answering; 0 if nothing was typed
    over: float  # seconds beyond those allowed; 0 if untimed
    missing: tuple  # ids of points not found
    claimed: tuple  # ids of known-wrong claims that the learner says to have made


@dataclass(frozen=True)
class Progress:
    """Everything that the events so far say."""

    cards: dict = field(default_factory=dict)  # {question: fsrs Card}
    drafts: dict = field(default_factory=dict)  # {(question, part): text typed but not graded yet}
    reviews: tuple = ()  # Review, in order
    judged: tuple = ()  # (session, right) of the mode "flags", in order
    sessions: tuple = ()  # (session, at, mode), in order

    def after(self, event):
        """The progress after one more event. Raises ValueError for one that cannot be read."""
        _check(event)
        kind, question = event["event"], event.get("question")
        if kind == "started":
            return replace(self, sessions=(*self.sessions, (event["session"], event["at"], event["mode"])))
        if kind in ("draft", "answered", "replied"):
            part = event.get("part", "answer") if kind != "replied" else follow_up_part(event["point"])
            return replace(self, drafts=self.drafts | {(question, part): event["text"]})
        if kind == "judged":
            return replace(self, judged=(*self.judged, (event["session"], event["right"])))
        if kind == "graded":
            at = schedule.moment(event["at"])
            card = schedule.review(self.cards.get(question), question, event["grade"], at)
            review = Review(question, event["grade"], event["at"], event["session"], event["seconds"], event["over"],
                            tuple(event["missing"]), tuple(event["claimed"]))  # fmt: skip
            drafts = {key: text for key, text in self.drafts.items() if key[0] != question}
            return replace(
                self, cards=self.cards | {question: card}, reviews=(*self.reviews, review), drafts=drafts
            )
        return self

    def due(self, at):
        """Ids of the questions whose day has come, longest overdue first. at: aware datetime."""
        cards = [(card.due, question) for question, card in self.cards.items() if schedule.is_due(card, at)]
        return tuple(question for _, question in sorted(cards))

    def unfinished(self):
        """Ids of the questions with something typed and not graded yet, oldest first."""
        return tuple(dict.fromkeys(question for (question, _), text in self.drafts.items() if text.strip()))


def replay(events):
    """(Progress, skipped): the events applied in order, and a sentence for each that could not be."""
    progress, skipped = Progress(), []
    for event in events:
        try:
            progress = progress.after(event)
        except ValueError as error:
            skipped.append(f"an event of {str(event.get('at'))[:10]} was skipped: {error}")
    return progress, skipped


def follow_up_part(point):
    """What a draft of the reply about this point is filed under; that of the answer is under "answer"."""
    return f"follow-up {point}"


def _check(event):
    kind = event.get("event")
    if kind not in EVENTS:
        raise ValueError(f"event: {kind!r} must be one of {', '.join(EVENTS)}")
    schedule.moment(event.get("at"))
    for key, expected in {"session": str, **EVENTS[kind]}.items():
        value = event.get(key)
        number = expected is float and isinstance(value, int | float) and not isinstance(value, bool)
        if not number and type(value) is not expected:
            raise ValueError(f"{key} of {kind}: {value!r} must be of type {expected.__name__}")
