"""The interview as a pure state machine: no clock, no files, no screen.

    state, view = start(bank, progress, read, at)     # the first state: choosing
    state, view, record = step(state, event)          # and so on, until view.stage is "end"

An **event** is a dict: `{"event": NAME, "at": "2026-01-31T20:15:00+01:00", **values}`. Times come with the
events. NAME is that of one of the view's actions, and `values` holds the value of each of the view's fields:
a front end draws a view's blocks, its fields and its actions from top to bottom, and when an action is chosen
sends its event with the fields' values: a choice's value, a number, or the text as typed. Two more events are no
action of a view:

    draft  (text)   in "question" and "follow-up": keep what is typed so far; there is no need to draw the view again
    leave           in any stage: end the session now; grades stay, what is typed comes back next time

A **view** is all that a front end shows: `stage`, `heading`, `blocks`, `fields`, `actions`, and where an answer
is timed `timer`. It is frozen and made of texts and numbers alone; `report` is set in the stage "report".

    stage       fields                                     actions (the first is the main one)
    choose      mode, topic, level, minutes, timed         start
    question    text                                       answer
    recall      -                                          reveal                  flashcards only
    hints       -                                          continue
    claim       claimed ("yes" or "no")                    claim                   one for each known-wrong claim
    follow-up   text                                       reply                   two at most
    compare     grade ("again", "hard", "good", "easy")    grade
    graded      -                                          continue                says when it is due again
    judge       said ("yes" or "no")                       judge                   mode "flags" only
    judged      -                                          continue
    report      -                                          again, finish
    end         -                                          -

A **record** is what the log has to keep of the step, or None (see `progress.EVENTS`).
`step` raises ValueError, naming the field, for an event that does not fit; the state is then as it was.

Modes: "mock", a timed interview of so many minutes, due questions first; "drill", the same, but a question that
was graded "again" comes back at the end; "flags", telling true statements from known-wrong claims; "flashcards",
recall in the head, no typing.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from . import schedule
from .bank import LEVELS, Bank
from .progress import Progress, follow_up_part
from .report import Report, clock

MODES = {
    "mock": "Mock interview: timed questions, due ones first",
    "drill": "Drill: as the interview, and what you graded “again” comes back",
    "flags": "Red flags: would you say this?",
    "flashcards": "Flashcards: answer in your head, then compare",
}
GRADES = {
    "again": "Again: I would have failed this question",
    "hard": "Hard: I got there, with gaps or in a muddle",
    "good": "Good: I would have passed",
    "easy": "Easy: I could say this any time",
}
YES_NO = (("yes", "Yes"), ("no", "No"))
FOLLOW_UPS = 2  # at most, to one question
REPEATS = 2  # of one question in one drill
ANY = "any"


@dataclass(frozen=True)
class Block:
    """Something to read. style: "text", "question", "quote", "note"."""

    text: str
    label: str = ""
    style: str = "text"


@dataclass(frozen=True)
class Field:
    """Something to fill in. kind: "text" (several lines), "choice" (radio buttons) or "number"."""

    name: str
    label: str
    kind: str
    value: object = ""  # at first; None where the learner has to choose
    choices: tuple = ()  # (value, label)


@dataclass(frozen=True)
class Action:
    """A button: the event that it sends, and what stands on it."""

    event: str
    label: str


@dataclass(frozen=True)
class Timer:
    """Time runs since `since` (ISO 8601) and is up after `seconds`; nothing is cut off then."""

    since: str
    seconds: int


@dataclass(frozen=True)
class View:
    """What a front end shows; see the module's text."""

    stage: str
    heading: str
    blocks: tuple = ()
    fields: tuple = ()
    actions: tuple = ()
    timer: Timer | None = None
    report: Report | None = None


@dataclass(frozen=True)
class Plan:
    """What the learner chose. topic, level: None for any."""

    mode: str = "mock"
    topic: str | None = None
    level: int | None = None
    minutes: int = 20
    timed: bool = True


@dataclass(frozen=True)
class State:
    """Where the session stands. Front ends need not look inside."""

    bank: Bank
    progress: Progress
    read: Callable  # (question, text) -> hints.Reading
    at: str  # of the last event
    stage: str = "choose"
    plan: Plan = field(default_factory=Plan)
    session: str = ""
    queue: tuple = ()  # ids of the questions to come; in "flags" (id, statement, is wrong, claim)
    asked: int = 0  # how many were asked, with the one being asked
    question: object = None  # bank.Question, or a statement to judge
    since: str = ""  # when the question was shown
    answer: str = ""
    seconds: float = 0.0
    over: float = 0.0
    reading: object = None  # hints.Reading of everything typed to this question
    claims: tuple = ()  # known-wrong claims still to ask about
    claimed: tuple = ()  # ids of those that the learner says to have made
    follow_ups: tuple = ()  # ids of the points asked about
    replies: tuple = ()  # what was replied
    said: str = ""  # to the statement judged last


def start(bank, progress, read, at, plan=None):
    """The first state and view. plan: a `Plan` to show as chosen already. at: as in events."""
    schedule.moment(at)
    state = State(bank, progress, read, at, plan=plan or Plan())
    return state, show(state)


def step(state, event):
    """(state, view, record) after an event. Raises ValueError if it does not fit, and nothing has happened then."""
    at, name = event.get("at"), event.get("event")
    now = schedule.moment(at)
    if now < schedule.moment(state.at):  # a clock that was set back
        at = state.at
    allowed = {action.event for action in show(state).actions}
    if name == "leave":
        state, record = _leave(state)
    elif name == "draft":
        state, record = _draft(state, event)
    elif name not in allowed:
        fitting = ", ".join(sorted(allowed | {"leave", "draft"}))
        raise ValueError(f"event: {name!r} does not fit in the stage {state.stage!r}; there is {fitting}")
    else:
        state, record = STEPS[state.stage, name](replace(state, at=at), event)
    state = replace(state, at=at)
    if record is not None:
        record = {"event": record.pop("event"), "at": at, "session": state.session, **record}
        state = replace(state, progress=state.progress.after(record))
    return state, show(state), record


# ---- what happens


def _start(state, event):
    plan = Plan(
        mode=_one_of(event, "mode", MODES),
        topic=_any(_one_of(event, "topic", (ANY, *state.bank.topics))),
        level=_level(_one_of(event, "level", (ANY, *map(str, LEVELS)))),
        minutes=_minutes(event),
        timed=_one_of(event, "timed", ("yes", "no")) == "yes",
    )
    session = str(event.get("session") or _shuffle_key(state.at, "session")[:8])
    state = replace(state, plan=plan, session=session)
    queue = planned(state)
    if not queue:
        raise ValueError(f"level: no question of level {plan.level} in {plan.topic}: choose another level or topic")
    ids = list(dict.fromkeys(entry[0] if plan.mode == "flags" else entry for entry in queue))
    record = {"event": "started", "mode": plan.mode, "timed": plan.timed, "questions": ids}
    return _next(replace(state, queue=queue, asked=0)), record


def planned(state):
    """The queue for the plan: what was left unfinished, what is due, what is new, as much as the minutes hold.

    A question counts with twice its seconds, since hints, comparison and grading take as long again. In
    flashcards it counts once. The order of new questions is drawn anew each session, from its time.
    """
    plan, progress = state.plan, state.progress
    chosen = {question.id: question for question in state.bank.chosen(plan.topic, plan.level)}
    drawn = sorted(chosen, key=lambda id: _shuffle_key(state.session, state.at, id))
    if plan.mode == "flags":
        return _statements(state, [chosen[id] for id in drawn])
    due = progress.due(schedule.moment(state.at))
    new = [id for id in drawn if id not in progress.cards]
    later = sorted((id for id in chosen if id in progress.cards), key=lambda id: progress.cards[id].due)
    unfinished = () if plan.mode == "flashcards" else progress.unfinished()
    order = [id for id in dict.fromkeys([*unfinished, *due, *new, *later]) if id in chosen]
    share = 1 if plan.mode == "flashcards" else 2
    queue, seconds = [], 0
    for id in order:
        seconds += share * chosen[id].seconds
        if queue and seconds > 60 * plan.minutes:
            break
        queue.append(id)
    return tuple(queue)


def _statements(state, questions):
    "Known-wrong claims and as many true statements, half a minute each, in drawn order. All as a candidate says them."
    found = []
    for question in questions:
        musts = [point.phrases[0] for point in question.points if point.must]
        musts.sort(key=lambda text: _shuffle_key(state.session, state.at, question.id, text))
        found += [(question.id, spoken(wrong.says), True, wrong.claim) for wrong in question.wrong]
        found += [(question.id, spoken(text), False, "") for text in musts[: len(question.wrong)]]
    found.sort(key=lambda entry: _shuffle_key(state.session, state.at, *entry[:2]))
    return tuple(found[: max(2, 2 * state.plan.minutes)])


def spoken(text):
    """A statement with a capital and without its full stop, so that its form does not tell what it is."""
    return text[:1].upper() + text[1:].rstrip(". ")


def _next(state):
    "The next question of the queue, or the report."
    if not state.queue:
        return replace(state, stage="report", question=None)
    head, *rest = state.queue
    state = replace(
        state, queue=tuple(rest), asked=state.asked + 1, since=state.at, answer="", seconds=0.0, over=0.0,
        reading=None, claims=(), claimed=(), follow_ups=(), replies=(), said="",
    )  # fmt: skip
    if state.plan.mode == "flags":
        return replace(state, stage="judge", question=head)
    return replace(
        state, stage="recall" if state.plan.mode == "flashcards" else "question", question=state.bank[head]
    )


def _draft(state, event):
    text = _text(event, allow_empty=True)
    if state.stage not in ("question", "follow-up"):
        raise ValueError(f"event: there is nothing to type in the stage {state.stage!r}")
    part = "answer" if state.stage == "question" else follow_up_part(state.follow_ups[-1])
    return state, {"event": "draft", "question": state.question.id, "part": part, "text": text}


def _answer(state, event):
    text, question = _text(event), state.question
    seconds = _elapsed(state)
    over = max(0.0, seconds - question.seconds) if state.plan.timed else 0.0
    reading = state.read(question, text)
    state = replace(state, stage="hints", answer=text, seconds=seconds, over=over, reading=reading,
                    claims=reading.matched_first)  # fmt: skip
    missing = [hint.id for hint in reading.points if not hint.mentioned]
    record = {"event": "answered", "question": question.id, "text": text, "seconds": seconds, "over": over,
              "missing": missing}  # fmt: skip
    return state, record


def _after_hints(state, event):
    return _claims_or_follow_up(state), None


def _claim(state, event):
    claimed, asked = _one_of(event, "claimed", ("yes", "no")) == "yes", state.claims[0]
    record = {"event": "claimed", "question": state.question.id, "claim": asked.id, "claimed": claimed}
    state = replace(state, claims=state.claims[1:], claimed=state.claimed + ((asked.id,) if claimed else ()))
    return _claims_or_follow_up(state), record


def _claims_or_follow_up(state):
    if state.claims:
        return replace(state, stage="claim")
    musts = {point.id for point in state.question.points if point.must}
    open_points = [hint.id for hint in state.reading.missing(musts) if hint.id not in state.follow_ups]
    if not open_points or len(state.follow_ups) == FOLLOW_UPS:
        return replace(state, stage="compare")
    return replace(state, stage="follow-up", follow_ups=(*state.follow_ups, open_points[0]), since=state.at)


def _reply(state, event):
    text, point = _text(event, allow_empty=True), state.follow_ups[-1]
    replies = (*state.replies, text)
    reading = state.read(state.question, "\n".join([state.answer, *replies]))
    found = next(hint.mentioned for hint in reading.points if hint.id == point)
    record = {"event": "replied", "question": state.question.id, "point": point, "text": text, "found": found}
    return _claims_or_follow_up(replace(state, replies=replies, reading=reading)), record


def _reveal(state, event):
    return replace(state, stage="compare"), None


def _grade(state, event):
    grade = _one_of(event, "grade", GRADES)
    missing = [hint.id for hint in state.reading.points if not hint.mentioned] if state.reading else []
    record = {"event": "graded", "question": state.question.id, "grade": grade, "seconds": state.seconds,
              "over": state.over, "missing": missing, "claimed": list(state.claimed)}  # fmt: skip
    if state.plan.mode == "drill" and grade == "again":
        so_far = [review.question for review in state.progress.reviews if review.session == state.session]
        if so_far.count(state.question.id) < REPEATS:
            state = replace(state, queue=(*state.queue, state.question.id))
    return replace(state, stage="graded"), record


def _judge(state, event):
    question, statement, is_wrong, _ = state.question
    said = _one_of(event, "said", ("yes", "no"))
    record = {"event": "judged", "question": question, "statement": statement, "said": said == "yes",
              "right": (said == "no") == is_wrong}  # fmt: skip
    return replace(state, stage="judged", said=said), record


def _continue(state, event):
    state = _next(state)
    return state, {"event": "ended"} if state.stage == "report" else None


def _leave(state):
    "Before anything was started, or after the report, there is nothing to report."
    if not state.session or state.stage in ("report", "end"):
        return replace(state, stage="end"), None
    return replace(state, stage="report", queue=(), question=None), {"event": "ended"}


def _again(state, event):
    return State(state.bank, state.progress, state.read, state.at, plan=state.plan), None


def _finish(state, event):
    return replace(state, stage="end"), None


STEPS = {
    ("choose", "start"): _start,
    ("question", "answer"): _answer,
    ("recall", "reveal"): _reveal,
    ("hints", "continue"): _after_hints,
    ("claim", "claim"): _claim,
    ("follow-up", "reply"): _reply,
    ("compare", "grade"): _grade,
    ("graded", "continue"): _continue,
    ("judge", "judge"): _judge,
    ("judged", "continue"): _continue,
    ("report", "again"): _again,
    ("report", "finish"): _finish,
}


# ---- what is read from an event


def _one_of(event, name, allowed):
    value = event.get(name)
    if value is None:
        raise ValueError(f"{name}: nothing is chosen yet")
    if value not in allowed:
        raise ValueError(f"{name}: {value!r} must be one of {', '.join(allowed)}")
    return value


def _any(value):
    return None if value == ANY else value


def _level(value):
    return None if value == ANY else int(value)


def _minutes(event):
    value = event.get("minutes")
    try:
        minutes = int(value)
    except (TypeError, ValueError):
        minutes = 0
    if not 1 <= minutes <= 240:
        raise ValueError(f"minutes: {value!r} must be a whole number from 1 to 240")
    return minutes


def _text(event, allow_empty=False):
    text = event.get("text")
    if not isinstance(text, str):
        raise ValueError(f"text: {text!r} must be what was typed")
    if not allow_empty and not text.strip():
        raise ValueError("text: nothing is typed yet; a single “I do not know” is an answer, too")
    return text


def _elapsed(state):
    return (schedule.moment(state.at) - schedule.moment(state.since)).total_seconds()


def _shuffle_key(*parts):
    return hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "surrogatepass")).hexdigest()


# ---- what is shown


def show(state):
    """The `View` of a state."""
    return VIEWS[state.stage](state)


def _show_choose(state):
    plan, now = state.plan, schedule.moment(state.at)
    due = sum(id in state.bank.questions for id in state.progress.due(now))
    unfinished = sum(id in state.bank.questions for id in state.progress.unfinished())
    new = sum(question.id not in state.progress.cards for question in state.bank)
    blocks = [Block(f"{_count(due, 'question')} due, {new} new, {len(state.bank)} in all.")]
    if unfinished:
        blocks.append(Block(f"{_count(unfinished, 'question')} begun and not graded: kept, and asked first."))
    topics = [(ANY, "Any topic"), *((topic, topic) for topic in state.bank.topics)]
    levels = [(ANY, "Any level"), *((str(level), f"{level}: {text}") for level, text in LEVELS.items())]
    fields = (
        Field("mode", "Mode", "choice", plan.mode, tuple(MODES.items())),
        Field("topic", "Topic", "choice", plan.topic or ANY, tuple(topics)),
        Field("level", "Level", "choice", ANY if plan.level is None else str(plan.level), tuple(levels)),
        Field("minutes", "Minutes (1 to 240)", "number", plan.minutes),
        Field("timed", "Watch the time?", "choice", "yes" if plan.timed else "no",
              (("yes", "Yes: show the time that saying it takes, and count what goes over it"), ("no", "No: untimed"))),
    )  # fmt: skip
    return View("choose", "The rehearsal", tuple(blocks), fields, (Action("start", "Start"),))


def _show_question(state):
    question = state.question
    blocks = [_asked(state)]
    draft = state.progress.drafts.get((question.id, "answer"), "")
    if draft.strip():
        blocks.append(Block("You began this answer earlier; it is kept below.", style="note"))
    blocks.append(Block("Answer as you would speak. Hints come after you submit.", style="note"))
    timer = Timer(state.since, question.seconds) if state.plan.timed else None
    if timer:
        text = f"Time to say it: {clock(question.seconds)}. Typing takes longer, and you are never cut off."
        blocks.append(Block(text, style="note"))
    fields = (Field("text", "Your answer", "text", draft),)
    return View("question", _title(state), tuple(blocks), fields, (Action("answer", "Submit the answer"),), timer)


def _show_recall(state):
    blocks = (_asked(state), Block("Answer aloud or in your head, then compare.", style="note"))
    return View("recall", _title(state), blocks, (), (Action("reveal", "Show the model answer"),))


def _show_hints(state):
    blocks = [_asked(state), *_time_used(state), *_hint_blocks(state, named=False)]
    return View("hints", "What the hints found", tuple(blocks), (), (Action("continue", "Continue"),))


def _show_claim(state):
    asked = state.claims[0]
    total = len(state.question.wrong)
    blocks = [Block(f"“{asked.text}”", "In these words or others", "question")]
    if asked.mentioned:
        blocks.append(Block(asked.quote, "A sentence of yours about the same matter", "quote"))
    note = "It is wrong, and you see why with the model answer. Only you know what you said."
    blocks.append(Block(note, style="note"))
    fields = (Field("claimed", "Did you claim this?", "choice", None, YES_NO),)
    heading = f"Did you say this? {total - len(state.claims) + 1} of {total}"
    return View("claim", heading, tuple(blocks), fields, (Action("claim", "Submit"),))


def _show_follow_up(state):
    point = next(point for point in state.question.points if point.id == state.follow_ups[-1])
    blocks = [Block(point.follow_up, "Follow-up", "question")]
    if state.replies:
        before = next(hint for hint in state.reading.points if hint.id == state.follow_ups[-2])
        blocks.insert(0, Block(_hint_text(before), "Your last reply", "note"))
    blocks.append(Block("Leave it empty if you have nothing to add.", style="note"))
    draft = state.progress.drafts.get((state.question.id, follow_up_part(point.id)), "")
    fields = (Field("text", "Your reply", "text", draft),)
    heading = f"Follow-up {len(state.follow_ups)}"
    return View("follow-up", heading, tuple(blocks), fields, (Action("reply", "Submit the reply"),))


def _show_compare(state):
    question = state.question
    blocks = [_asked(state)]
    if state.answer:
        blocks.append(Block("\n".join([state.answer, *filter(None, state.replies)]), "You wrote", "quote"))
        blocks += _time_used(state)
    blocks.append(Block(question.answer, "A model answer"))
    if state.reading:
        blocks += _hint_blocks(state)
    else:
        blocks.append(Block(_listed(_point_text(point) for point in question.points), "What an interviewer ticks off"))
    for wrong in question.wrong:
        claimed = " You said that you claimed this." if wrong.claim in state.claimed else ""
        text = f"“{wrong.says}” ({wrong.claim}).{claimed}\n{wrong.because}\n{_evidence(wrong)}"
        blocks.append(Block(text, "Never say"))
    blocks.append(Block("; ".join(question.sources), "Sources"))
    fields = (Field("grade", "Your grade, yours alone", "choice", None, tuple(GRADES.items())),)
    return View("compare", "Compare, then grade yourself", tuple(blocks), fields, (Action("grade", "Grade"),))


def _show_graded(state):
    today = schedule.moment(state.at)
    day = schedule.due_date(state.progress.cards[state.question.id])
    blocks = [Block(f"You graded this {GRADES[state.progress.reviews[-1].grade].partition(':')[0]}.")]
    blocks.append(Block(schedule.in_words(day, today.date()), "Due again"))
    if state.question.id in state.queue:
        blocks.append(Block("In this drill it comes back before the end.", style="note"))
    label = "Next question" if state.queue else "To the report"
    return View("graded", "Kept", tuple(blocks), (), (Action("continue", label),))


def _show_judge(state):
    question, statement, *_ = state.question
    blocks = (
        Block(state.bank[question].ask, "The question", "text"),
        Block(f"“{statement}”", "Would you say this?", "question"),
    )
    fields = (Field("said", "Would you say this?", "choice", None, YES_NO),)
    return View("judge", _title(state), blocks, fields, (Action("judge", "Submit"),))


def _show_judged(state):
    question, statement, is_wrong, claim = state.question
    question = state.bank[question]
    right = (state.said == "no") == is_wrong
    blocks = [Block(f"“{statement}”", f"You would {'' if state.said == 'yes' else 'not '}say", "quote")]
    if is_wrong:
        wrong = next(wrong for wrong in question.wrong if wrong.claim == claim)
        blocks.append(Block(f"{wrong.because}\n{_evidence(wrong)}", f"Known to be wrong ({claim})"))
    else:
        blocks.append(Block(question.answer, "This belongs to the model answer"))
    heading = "As the evidence has it" if right else "The evidence says otherwise"
    label = "Next statement" if state.queue else "To the report"
    return View("judged", heading, tuple(blocks), (), (Action("continue", label),))


def _show_report(state):
    report = Report.of(state.bank, state.progress, state.session, state.at)
    blocks = tuple(Block(text, label) for label, text in report.paragraphs())
    actions = (Action("again", "Another session"), Action("finish", "Finish"))
    return View("report", "Report of this session", blocks, (), actions, report=report)


def _show_end(state):
    return View("end", "Until next time", (Block("Your progress is kept on this machine, and nowhere else."),))


VIEWS = {
    "choose": _show_choose,
    "question": _show_question,
    "recall": _show_recall,
    "hints": _show_hints,
    "claim": _show_claim,
    "follow-up": _show_follow_up,
    "compare": _show_compare,
    "graded": _show_graded,
    "judge": _show_judge,
    "judged": _show_judged,
    "report": _show_report,
    "end": _show_end,
}


def _title(state):
    thing = "Statement" if state.plan.mode == "flags" else "Question"
    return f"{thing} {state.asked} of {state.asked + len(state.queue)}"


def _asked(state):
    question = state.question
    return Block(question.ask, f"{question.topic}, level {question.level} ({LEVELS[question.level]})", "question")


def _time_used(state):
    if not state.plan.timed:
        return []
    used = f"{clock(state.seconds)}; saying it takes {clock(state.question.seconds)}."
    return [Block(f"{used} {clock(state.over)} over." if state.over else used, "Time")]


def _hint_blocks(state, named=True):
    """A block for each point, and the limits of the hints beside them, always in the same words.

    named: whether a point that was not found is told. Before the follow-ups it is not: an interviewer does not say
    what is missing either.
    """
    points, musts = state.reading.points, {point.id for point in state.question.points if point.must}
    blocks = []
    for position, hint in enumerate(points, start=1):
        label = f"Point {position} of {len(points)}" + (" (a must)" if hint.id in musts else "")
        text = _hint_text(hint) if named or hint.mentioned else "Not found. What it is comes with the model answer."
        blocks.append(Block(text, label))
    note = (
        "The hints compare what sentences are about. They cannot tell right from wrong: a wrong statement, or a "
        "denial, on the same subject is “mentioned” as well. One sentence may be found for several points, and the "
        "longer an answer, the more is found. Read your sentence and judge."
    )
    return [*blocks, Block(note, style="note")]


def _hint_text(hint):
    if hint.mentioned:
        return f"{hint.text}\nMentioned: “{hint.quote}”"
    return f"{hint.text}\nNot found"


def _point_text(point):
    return f"{point.text} (a must)" if point.must else point.text


def _evidence(wrong):
    return f"Measured in lesson {wrong.refuted_by[:2]}: {wrong.number}."


def _listed(texts):
    return "\n".join(f"- {text}" for text in texts)


def _count(n, thing):
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"
