"""What a session showed: misses, time, next dates, and the trend over all sessions. As text and as a figure."""

from collections import Counter
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np

from ... import plots
from . import schedule

SCALE = ("again", "hard", "good", "easy")  # 1 to 4, for the trend


@dataclass(frozen=True)
class Row:
    """One graded question of the session."""

    ask: str
    grade: str
    seconds: float
    over: float
    due: object  # date
    missing: tuple  # texts of points not found
    claimed: tuple  # known-wrong claims made, each with its id


@dataclass(frozen=True)
class Past:
    """One session in the trend."""

    day: object  # date
    mode: str
    grades: tuple  # 1 (again) to 4 (easy)
    missing: float  # points not found per typed answer; NaN if none was typed
    over: float  # seconds over per typed answer; NaN if none was typed


@dataclass(frozen=True)
class Report:
    """Of one session, with the trend up to it."""

    today: object  # date
    rows: tuple
    judged: tuple  # (right, all) of the mode "flags"
    trend: tuple  # Past, sessions with at least one grade, oldest first

    @classmethod
    def of(cls, bank, progress, session, at):
        """The report of a session. bank: `bank.Bank`. progress: `progress.Progress`. at: ISO time, now."""
        now = schedule.moment(at)
        graded = [review for review in progress.reviews if review.session == session]
        rows = tuple(_row(bank, progress, review) for review in graded if review.question in bank.questions)
        judged = [right for of, right in progress.judged if of == session]
        trend = [_past(progress, *begun) for begun in progress.sessions]
        return cls(now.date(), rows, (sum(judged), len(judged)), tuple(past for past in trend if past.grades))

    def paragraphs(self):
        """The report as (label, text) pairs, in reading order."""
        found = []
        if self.judged[1]:
            found.append(("Red flags", f"{self.judged[0]} of {self.judged[1]} statements told right."))
        if not self.rows:
            return found or [("", "Nothing was graded in this session.")]
        found.append(("Questions", "\n".join(self._line(row) for row in self.rows)))
        missing = Counter(text for row in self.rows for text in row.missing)
        if missing:
            found.append(("Points not found in your answers", "\n".join(f"- {text}" for text in missing)))
        claimed = dict.fromkeys(text for row in self.rows for text in row.claimed)
        if claimed:
            found.append(("Known-wrong claims you made", "\n".join(f"- {text}" for text in claimed)))
        if any(row.seconds for row in self.rows):
            used, over = (sum(getattr(row, name) for row in self.rows) for name in ("seconds", "over"))
            found.append(("Time", f"{clock(used)} answering, {clock(over)} more than it takes to say it."))
        found.append(("Trend of your grades", trend_text(self.trend)))
        return found

    def _line(self, row):
        time = f", {clock(row.seconds)}" if row.seconds else ""
        time += f" ({clock(row.over)} over)" if row.over else ""
        return f"- {row.ask}\n  {row.grade.capitalize()}{time}; due {schedule.in_words(row.due, self.today)}"


def _row(bank, progress, review):
    question = bank[review.question]
    texts = {point.id: point.text for point in question.points}
    says = {wrong.claim: f"“{wrong.says}” ({wrong.claim})" for wrong in question.wrong}
    return Row(
        question.ask, review.grade, review.seconds, review.over,
        schedule.due_date(progress.cards[review.question]),
        tuple(texts[id] for id in review.missing if id in texts),
        tuple(says[id] for id in review.claimed if id in says),
    )  # fmt: skip


def _past(progress, session, at, mode):
    reviews = [review for review in progress.reviews if review.session == session]
    typed = [review for review in reviews if review.seconds]
    grades = tuple(1 + SCALE.index(review.grade) for review in reviews)
    missing = float(np.mean([len(review.missing) for review in typed])) if typed else float("nan")
    over = float(np.mean([review.over for review in typed])) if typed else float("nan")
    return Past(schedule.moment(at).date(), mode, grades, missing, over)


def trend_text(trend, last=10):
    """The last sessions, a line each, for a terminal: date, mode, how many, and the mean grade as a bar.

    The bar is empty where all grades were "again", and full where all were "easy".
    """
    lines = []
    for past in trend[-last:]:
        mean = float(np.mean(past.grades))
        marks = round(18 * (mean - 1) / 3)
        near = SCALE[round(mean) - 1].capitalize()
        lines.append(f"{past.day}  {past.mode:10}  {len(past.grades):2} graded  {'#' * marks:.<18}  about {near}")
    return "\n".join(lines) or "No session with a grade yet."


def figure(report):
    """Figure of the trend: your grades, and the points not found, session by session.

    report: a `Report` with at least one session in its trend; ValueError otherwise.
    """
    if not report.trend:
        raise ValueError("report: no session with a grade yet, so there is no trend to draw")
    means = [float(np.mean(past.grades)) for past in report.trend]
    count, first, last = len(means), *(SCALE[round(mean) - 1].capitalize() for mean in (means[0], means[-1]))
    title = f"Your own grades over {count} sessions: from about {first} to about {last}" if count > 1 else (
        f"One session so far: about {last}, by your own grades"
    )  # fmt: skip
    made, (left, right) = plots.figure(title, 2, width=10, height=4)
    x = np.arange(1, count + 1)
    with mpl.rc_context(plots.STYLE):
        for place, past in zip(x, report.trend, strict=True):
            grades, counts = np.unique(past.grades, return_counts=True)
            left.scatter(np.full(len(grades), place), grades, s=40 * counts, color="0.75", zorder=1)
        left.plot(x, means, "o-", color=plots.COLOURS[0], zorder=2)
        left.set(xlabel="session", ylabel="self-grade", ylim=(0.7, 4.3), title="line: mean; discs: single grades")
        left.set_yticks(range(1, 5), [name.capitalize() for name in SCALE])
        right.plot(x, [past.missing for past in report.trend], "s-", color=plots.COLOURS[1])
        right.set(xlabel="session", ylabel="points a typed answer", title="points not found")
        right.set_ylim(bottom=0)
        for axis in (left, right):
            axis.set_xlim(0.5, count + 0.5)
            axis.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True, min_n_ticks=1))
    return made


def clock(seconds):
    """Minutes and seconds: 2:05."""
    seconds = round(seconds)
    return f"{seconds // 60}:{seconds % 60:02}"
