"""The rehearsal: a mock interview that works offline and never flatters.

    bank       the questions (questions/*.toml): read, checked, their measured numbers filled in
    core       the interview as a pure state machine: step(state, event) -> (state, view, record)
    hints      which points of the rubric a typed answer mentions, with the sentence quoted
    schedule   when a question is due again (FSRS)
    log        what the learner did: an append-only file of JSON lines
    progress   what that amounts to: cards, drafts and grades, replayed from the log
    report     what a session showed, as text and as a figure
    session    core, log, hints and clock put together; what a front end talks to
    terminal   a front end in plain text: python -m helpers rehearse
    widget     a front end in a notebook
    anki       the questions as a deck for Anki
    limits     what the hints can and cannot do, measured on frozen answers
    demonstration  a made-up learner, for the lesson's figures
"""
