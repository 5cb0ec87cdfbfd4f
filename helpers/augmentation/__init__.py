"""Lesson 03: more text, or the same text four times?

    texts        the documents, split by source object
    sentences    a sentence splitter, and the guide's `split(".")`
    augmenters   one interface: texts and a seed in, variants out; mixup and noise for vectors
    translate    Apertium, and MarianMT for who is online
    paraphrase   SmolLM2 rewrites
    gate         which variants are worth a row
    effects      arms of training sets, compared with plain duplication
    leakage      augment, then split, or the other way round
    indexing     variants in the index: crowding, and counting a document once
    robustness   typing errors and corrupted identifiers
    trying       all variants of one text: the widget
    recorded     what is too long for a notebook
    figures      the lesson's own figures

`python -m helpers.augmentation` compares the arms in a terminal, or shows the variants of `--text`.
"""


def warm():
    """Compute and keep the vectors that the lesson needs, about two minutes' worth."""
    from .effects import load_material
    from .indexing import KINDS, load_library, originals, variants

    print("lesson 03, vectors of variants", flush=True)
    load_material()
    originals(load_library())
    for kind in KINDS:
        variants(load_library(), kind)
