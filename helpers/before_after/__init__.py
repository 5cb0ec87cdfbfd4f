"""Lesson 10: the assistant before and after what the lessons found, step by step, with its evidence.

`system` is the assistant with any of the steps, `ablation` what each step is worth in which order, `classifier`
the same for the small head, `serving` what a request costs, `recorded` what takes too long for a notebook, among
it the one opening of the test questions.
"""


def warm():
    """Compute and keep what the language model makes of the prompts that the notebook reads again."""
    from ..assistant import corpus
    from . import ablation, recorded, system

    for family in corpus.FAMILIES:
        print(f"lesson 10, {family} questions", flush=True)
        questions = corpus.load_questions(family, "development")
        recorded.final_systems(questions, family)
    ablation.in_order(ablation.FORWARD, score=lambda plan, family: system.chances(plan, questions))
