"""Widgets that several lessons share. A widget only shows what the helpers compute."""

import ipywidgets as widgets
import numpy as np
from IPython.display import display

from .. import plots
from ..assistant import sampling


def ask_anything(assistant, question):
    """Ask the assistant, and see what it retrieved, what the model read, and its next token.

    assistant: an `Assistant`. question: what stands in the field at first. Returns a widget.
    """
    field = widgets.Text(question, description="Question", layout=widgets.Layout(width="95%"))
    button = widgets.Button(description="Ask", button_style="primary", tooltip="Ask the assistant this question")
    shown = widgets.Output()

    def ask(_=None):
        shown.clear_output(wait=True)
        with shown:
            try:
                show_answer(assistant, field.value)
            except ValueError as error:
                print(error)

    button.on_click(ask)
    field.on_submit(ask) if hasattr(field, "on_submit") else None
    ask()
    return widgets.VBox([field, button, shown])


def show_answer(assistant, question):
    """Print an answer with its sources and prompt, and draw the next-token distribution."""
    answer = assistant.ask(question)
    print(f"Answer: {answer.text}   (tool: {answer.tool})")
    for source in answer.sources:
        print(f"  {source.score:.3f}  {source.name}")
    for note in answer.notes:
        print(f"  note: {note}")
    if answer.prompt:
        print(f"\nWhat the model read:\n{answer.prompt}")
        display(next_tokens(assistant.language_model, answer.prompt))


def next_tokens(language_model, prompt, following="", temperature=1.0, top_p=1.0, shown=10):
    """Figure of the likeliest next tokens after a prompt and what was already written after it."""
    logits, _ = language_model.read(language_model.tokens(prompt) + language_model.tokens(following))
    probabilities = sampling.distribution(logits, temperature, top_p)
    best = np.argsort(-probabilities)[:shown]
    rows = {repr(language_model.vocabulary[i]): float(probabilities[i]) for i in best}
    return plots.bars(rows, "The model's next token", "probability")
