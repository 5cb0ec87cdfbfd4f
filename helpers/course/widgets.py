"""Widgets that several lessons share. A widget only shows what the helpers compute."""

import ipywidgets as widgets
import numpy as np

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
        shown.outputs = ()
        try:
            answer = assistant.ask(field.value)
        except ValueError as error:
            shown.append_stdout(f"{error}\n")
            return
        shown.append_stdout(described(answer))
        if answer.prompt:
            shown.append_display_data(next_tokens(assistant.language_model, answer.prompt))

    button.on_click(ask)
    ask()
    return widgets.VBox([field, button, shown])


def explorer(options, show, **start):
    """A slider for each setting, and below them what `show(**chosen)` makes of the chosen ones.

    options: {setting: its values}. show: returns a figure, a string, or a tuple of them. start:
    the values chosen at first (otherwise the first of each). Returns a widget.
    """
    sliders = {
        name: widgets.SelectionSlider(
            options=list(values), value=start.get(name, values[0]), description=name.replace("_", " "),
            style={"description_width": "8em"}, layout=widgets.Layout(width="32em"),
        )
        for name, values in options.items()
    }  # fmt: skip
    shown = widgets.Output()

    def update(_=None):
        made = show(**{name: slider.value for name, slider in sliders.items()})
        shown.outputs = ()
        for part in made if isinstance(made, tuple) else (made,):
            shown.append_stdout(f"{part}\n") if isinstance(part, str) else shown.append_display_data(part)

    for slider in sliders.values():
        slider.observe(update, "value")
    update()
    return widgets.VBox([*sliders.values(), shown])


def described(answer):
    """An `Answer` as text: what was said, by which tool, from which documents, and what the model read."""
    lines = [f"Answer: {answer.text}   (tool: {answer.tool})"]
    lines += [f"  {source.score:.3f}  {source.name}" for source in answer.sources]
    lines += [f"  note: {note}" for note in answer.notes]
    lines += ["", "What the model read:", answer.prompt] if answer.prompt else []
    return "\n".join(lines) + "\n"


def next_tokens(language_model, prompt, following="", temperature=1.0, top_p=1.0, shown=10):
    """Figure of the likeliest next tokens after a prompt and what was already written after it."""
    logits, _ = language_model.read(language_model.tokens(prompt) + language_model.tokens(following))
    probabilities = sampling.distribution(logits, temperature, top_p)
    best = np.argsort(-probabilities)[:shown]
    rows = {repr(language_model.vocabulary[i]): float(probabilities[i]) for i in best}
    return plots.bars(rows, "The model's next token", "probability")
