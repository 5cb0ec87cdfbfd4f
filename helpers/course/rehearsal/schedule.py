"""When a question is due again: FSRS with its published weights, no fuzz, and days as its smallest step.

A grade is the learner's own. FSRS keeps two numbers a question: *stability*, the days after which the
chance of recall has fallen to 90 %, and *difficulty*. The next date is the day that chance reaches 90 %.
Source: Ye, Su & Cao 2022, A Stochastic Shortest Path Algorithm for Optimizing Spaced Repetition Scheduling;
the package `fsrs` (Open Spaced Repetition).
"""

import hashlib
from datetime import UTC, datetime, time

from fsrs import Card, Rating, Scheduler

GRADES = {"again": Rating.Again, "hard": Rating.Hard, "good": Rating.Good, "easy": Rating.Easy}
SCHEDULER = Scheduler(learning_steps=(), relearning_steps=(), enable_fuzzing=False)


def moment(text):
    """The time that an event carries, ISO 8601 with its offset from UTC. Raises ValueError otherwise."""
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        found = None
    if found is None or found.utcoffset() is None:
        raise ValueError(f"at: {text!r} must be a time with its offset, as 2026-01-31T20:15:00+01:00")
    return found


def review(card, question, grade, at):
    """The card of a question after a grade.

    card: an fsrs `Card`, or None for a question never graded. question: its id. grade: one of GRADES.
    at: aware datetime. Raises ValueError for an unknown grade.

    Only the learner's calendar day counts: whoever grades in the evening and again on the next morning has waited a
    day. So a card's times are noon of such days. A day before the last one (a clock that was set back, or had been
    set forward) counts as the same day, and the next date is counted from it.
    """
    if grade not in GRADES:
        raise ValueError(f"grade: {grade!r} must be one of {', '.join(GRADES)}")
    day = datetime.combine(at.date(), time(12), UTC)
    if card is None:
        number = int.from_bytes(hashlib.sha256(question.encode()).digest()[:6], "big")
        card = Card(card_id=number, due=day)
    return SCHEDULER.review_card(card, GRADES[grade], day)[0]


def due_date(card):
    """The day on which a card is due, on the learner's calendar."""
    return card.due.date()


def is_due(card, at):
    """Whether the card's day has come, where `at` is now."""
    return due_date(card) <= at.date()


def in_words(day, today):
    """A due date as a learner reads it: "tomorrow, 1 February 2026", "in 12 days, 12 February 2026"."""
    days = (day - today).days
    distance = "today" if days <= 0 else "tomorrow" if days == 1 else f"in {days} days"
    return f"{distance}, {day.day} {day:%B %Y}"
