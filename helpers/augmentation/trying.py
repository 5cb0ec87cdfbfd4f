"""One text, all its variants, and what the gate says: for the lesson's widget and the terminal."""

import html
from dataclasses import dataclass

import ipywidgets as widgets

from .augmenters import METHODS, augment
from .gate import gate
from .texts import Source
from .translate import TranslatorMissing

EXAMPLE = "Choose the learning rate, e.g. 0.01, before calling fit_transform. A rate that is too large never converges."


@dataclass(frozen=True)
class Tried:
    """A method, its variant ("" if it made none here), the cosine, and the gate's reason or what is missing."""

    method: str
    text: str
    cosine: float
    reason: str


def try_all(text, seed=0, methods=tuple(METHODS)):
    """Every method's variant of a text: a list of `Tried`. Raises ValueError for a text without words."""
    if not text.strip():
        raise ValueError("text is empty: there is nothing to make variants of")
    source, found = Source("yours", text, 0, "yours"), []
    for method in methods:
        try:
            variants = augment([source], method, seed)
        except TranslatorMissing as missing:
            found.append(Tried(method, "", 0.0, str(missing)))
            continue
        checked = gate(variants, [source], labels=False)[0]  # of one text alone nobody knows the label
        found.append(Tried(method, checked.variant.text, checked.cosine, checked.reason))
    return found


def widget(text=EXAMPLE, methods=tuple(METHODS)):
    """A field for a text and a button; below them the variants of it. Returns a widget."""
    field = widgets.Textarea(text, description="Text", layout=widgets.Layout(width="95%", height="4em"))
    seed = widgets.BoundedIntText(0, min=0, max=999, description="Seed")
    button = widgets.Button(
        description="Make variants", button_style="primary", tooltip="Make a variant by each method"
    )
    shown = widgets.HTML()

    def make(_=None):
        try:
            shown.value = _table(try_all(field.value, seed.value, methods))
        except ValueError as error:
            shown.value = f"<p>{html.escape(str(error))}</p>"

    button.on_click(make)
    make()
    return widgets.VBox([field, seed, button, shown])


def _table(tried):
    rows = [
        f"<tr><th scope='row' style='text-align:left;padding-right:1em'>{t.method}</th>"
        f"<td style='padding-right:1em'>{t.cosine:.2f}</td>"
        f"<td style='padding-right:1em'><b>{html.escape(t.reason)}</b></td>"
        f"<td>{html.escape(t.text[:600])}</td></tr>"
        for t in tried
    ]
    heads = "".join(
        f"<th scope='col' style='text-align:left'>{h}</th>" for h in ("method", "cosine", "gate", "variant")
    )
    return f"<table style='line-height:1.4'><tr>{heads}</tr>{''.join(rows)}</table>"
