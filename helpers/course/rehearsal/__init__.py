"""The rehearsal: a mock interview that works offline and never flatters.

    bank       the questions (questions/*.toml): read, checked, their measured numbers filled in
    core       the interview as a pure state machine: step(state, event) -> (state, view, record)
    hints      which points of the rubric a typed answer mentions, with the sentence quoted
    schedule   when a question is due again (FSRS)
    log        the learner's progress: an append-only file of JSON lines, and the state replayed from it
    report     what a session showed, as text and as a figure
    session    core, log, hints and clock put together; what a front end talks to
    terminal   a front end in plain text: python -m helpers rehearse
    widget     a front end in a notebook
    anki       the questions as a deck for Anki
    limits     what the hints can and cannot do, measured on answers that others wrote
"""
