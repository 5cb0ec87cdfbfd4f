"""Lesson 10: the assistant before and after what the lessons found, step by step, with its evidence.

`system` is the assistant with any of the steps, `ablation` what each step is worth in which order, `classifier`
the same for the small head, `serving` what a request costs, `recorded` what takes too long for a notebook, among
it the one opening of the test questions.
"""


def warm():
    """Compute and keep what the language model makes of the prompts that the notebook reads again."""
    from ..assistant import corpus
    from . import ablation, controls, recorded, serving, system

    questions = {family: corpus.load_questions(family, "development") for family in corpus.FAMILIES}
    for family, own in questions.items():
        print(f"lesson 10, {family} questions", flush=True)
        recorded.final_systems(own, family)
    for order in (ablation.FORWARD, ablation.BACKWARD):
        ablation.in_order(order, score=lambda plan, family: system.chances(plan, questions[family]))
    system.chances(serving.GENERATED, questions["described"], top_k=3)
    system.chances(system.AFTER, controls.reworded(questions["described"], "parameter misspelt"))
