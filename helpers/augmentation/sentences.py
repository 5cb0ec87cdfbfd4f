"""Cutting a text into sentences: with a splitter, and as the guide does it."""

from sentencex import segment


def sentences(text):
    """Sentences of a text, without the space around them: a list, empty for an empty text.

    A full stop within a name, a number or an abbreviation ends no sentence.
    """
    return [sentence.strip() for sentence in segment("en", text) if sentence.strip()]


def guide_subset(text):
    """The guide's "partial text": the first half of `text.split(".")`, with its defects. May be empty."""
    pieces = text.split(".")
    return ". ".join(pieces[: len(pieces) // 2])
