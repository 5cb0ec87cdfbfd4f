"""A made-up learner, for the lesson's figures: someone whose answers cover a little more every session."""

from datetime import UTC, datetime, timedelta

from .session import Session

FIRST = datetime(2026, 1, 5, 19, 0, tzinfo=UTC)


class Clock:
    """Shows `now`, which only moves when it is told to."""

    def __init__(self, now=FIRST):
        self.now = now

    def __call__(self):
        return self.now

    def wait(self, **span):
        """Let time pass. span: as `timedelta` has it."""
        self.now += timedelta(**span)


def rehearse(home, bank, sessions=4, minutes=12, every_days=2):
    """Drive whole interviews through the core, into the log in `home`, and return the last session, at its report.

    In session k the learner types k points of each question in the rubric's own words, takes longer at first, admits
    the first known-wrong claim of every question, and grades by how many points were typed. So the curves that come
    of it are drawn, not measured.
    """
    clock = Clock()
    for k in range(sessions):
        session = Session(home, bank, clock=clock)
        chosen = {"mode": "mock", "topic": "any", "level": "any", "minutes": minutes, "timed": "yes"}
        session.send("start", session=f"day {k * every_days}", **chosen)  # its name draws the order of new questions
        while session.view.stage != "report":
            _answer_one(session, clock, covered=k)
        clock.wait(days=every_days)
    return session


def _answer_one(session, clock, covered):
    "One question, from its view to the next question or the report."
    question = next(q for q in session.bank if q.ask == session.view.blocks[0].text)
    clock.wait(seconds=question.seconds + 40 - 15 * covered)
    said = [point.text for point in question.points[:covered]] or ["I am not sure yet"]
    view = session.send("answer", text=". ".join(said) + ".")
    admits = "yes"
    while view.stage != "compare":
        value = {"claim": {"claimed": admits}, "follow-up": {"text": ""}}.get(view.stage, {})
        admits = "no" if view.stage == "claim" else admits
        view = session.send(view.actions[0].event, **value)
    share = min(covered, len(question.points)) / len(question.points)
    session.send("grade", grade=("again", "hard", "good", "easy")[min(3, int(4 * share))])
    session.send("continue")
