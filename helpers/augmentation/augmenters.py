"""Augmenters with one interface: texts and a seed in, one other text for each out.

`augment` wraps them: it makes `Variant`s that know their source, label and method, the same for
the same seed, and never an empty one.
"""

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..assistant import corpus, models
from .paraphrase import paraphrase
from .sentences import guide_subset, sentences
from .translate import Apertium


@dataclass(frozen=True)
class Variant:
    """A text made from another one. `source` is what it must never be split from, `label` its source's."""

    text: str
    source: str
    label: int
    method: str


def augment(sources, method, seed=0, name=None):
    """One variant of each source that has text: a list of `Variant`.

    sources: sequence of `texts.Source`. method: one of `METHODS`, or any function of (texts, seed)
    that returns as many texts. name: how the variants call the method. Where a method gives back
    nothing, as for a text of one word, the variant is the text itself. Raises ValueError for an
    unknown method, `translate.TranslatorMissing` where back-translation has no translator.
    """
    if not callable(method) and method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, or a function; got {method!r}")
    make: Callable = method if callable(method) else METHODS[method]
    name = name or (getattr(method, "__name__", "function") if callable(method) else method)
    written = [source for source in sources if source.text.strip()]
    made = make([source.text for source in written], seed)
    return [Variant(text.strip() or s.text, s.name, s.label, name) for s, text in zip(written, made, strict=True)]


def generator(text, seed):
    """A random generator of one text: its variant depends on text and seed, not on the texts beside it."""
    return np.random.default_rng([seed, zlib.crc32(text.encode())])


# ---- parts of a text


def first_half(texts, seed=0):
    """The first half of the sentences, as the guide means it."""
    return [_half(text, lambda n: 0) for text in texts]


def random_half(texts, seed=0):
    """As many neighbouring sentences, from a random place."""
    return [_half(text, lambda n, text=text: int(generator(text, seed).integers(n))) for text in texts]


def _half(text, start):
    "Half of the sentences; of a single sentence half of the words, of a single word the word."
    parts, glue = sentences(text), " "
    if len(parts) < 2:
        parts = text.split()
    if len(parts) < 2:
        return text
    size = len(parts) // 2
    begin = start(len(parts) - size + 1)
    return glue.join(parts[begin : begin + size])


# ---- edits of words


EDITED = 0.1  # share of words that one edit changes


def word_edits(texts, seed=0):
    """Easy data augmentation: each text is edited in one of four ways, drawn at random.

    Source: Wei & Zou 2019, EDA, whose synonyms come from WordNet; here from embedding neighbours.
    """
    ways, made = (swap_words, delete_words, insert_words, replace_words), []
    for text in texts:
        rng, words = generator(text, seed), text.split()
        made.append(" ".join(ways[rng.integers(4)](words, rng)))
    return made


def swap_words(words, rng, share=EDITED):
    """Exchange two words, for a tenth of the words at least once."""
    words = list(words)
    for _ in range(_count(words, share) if len(words) > 1 else 0):
        i, j = rng.choice(len(words), 2, replace=False)
        words[i], words[j] = words[j], words[i]
    return words


def delete_words(words, rng, share=EDITED):
    """Leave out a tenth of the words, at least one, never all."""
    gone = set(rng.permutation(len(words))[: min(_count(words, share), len(words) - 1)].tolist())
    return [word for i, word in enumerate(words) if i not in gone]


def insert_words(words, rng, share=EDITED):
    """Add neighbours in meaning of words of the text, each at a random place."""
    made = list(words)
    for i in rng.permutation(len(words))[: _count(words, share)]:
        made.insert(int(rng.integers(len(made) + 1)), neighbour(words[i], rng))
    return made


def replace_words(words, rng, share=EDITED):
    """Replace words by a neighbour in meaning; those that have none stay."""
    made = list(words)
    known = [i for i in rng.permutation(len(words)) if neighbour(words[i], rng) != words[i]]
    for i in known[: _count(words, share)]:
        made[i] = neighbour(words[i], rng)
    return made


def _count(words, share):
    return max(1, round(share * len(words))) if words else 0


def neighbour(word, rng, nearest=3):
    """One of the words that the encoder's word embeddings have nearest; the word itself if it knows none."""
    rows, vocabulary, vectors = _word_vectors()
    row = rows.get(word.lower())
    if row is None:
        return word
    cosines = vectors @ vectors[row]
    cosines[row] = -1
    return vocabulary[int(np.argsort(-cosines)[rng.integers(nearest)])]


@lru_cache(maxsize=1)
def _word_vectors():
    "Words of four letters or more that the corpus uses and the encoder has a piece for: (row of each, words, vectors)."
    used = set(re.findall(r"[a-z]{4,}", " ".join(d.summary.lower() for d in corpus.load_documents())))
    encoder = models.encoder()
    table = encoder[0].auto_model.embeddings.word_embeddings.weight.detach().cpu().numpy()
    vocabulary = sorted((word, i) for word, i in encoder.tokenizer.get_vocab().items() if word in used)
    vectors = table[[i for _, i in vocabulary]]
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return {word: row for row, (word, _) in enumerate(vocabulary)}, [word for word, _ in vocabulary], vectors


# ---- misspelling


def misspell(texts, seed=0, share=0.15):
    """Typing errors in `share` of the words: a letter left out, doubled, or exchanged with the next."""
    made = []
    for text in texts:
        rng = generator(text, seed)
        made.append(" ".join(_mistyped(w, rng) if rng.random() < share else w for w in text.split()))
    return made


def _mistyped(word, rng):
    if len(word) < 3:
        return word
    at = int(rng.integers(1, len(word) - 1))
    return (
        word[:at] + word[at + 1 :],
        word[:at] + word[at] + word[at:],
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
    )[rng.integers(3)]


IDENTIFIER = re.compile(r"\w*[A-Za-z]\w*(?:[._]\w+)+|\b[a-z]+[A-Z]\w*|\b[A-Z][a-z]+[A-Z]\w*")


def kept_names(text, variant):
    """Share of a text's identifiers and numbers that its variant still has, None if the text has none."""
    names = set(IDENTIFIER.findall(text)) | set(re.findall(r"\b\d+(?:\.\d+)?\b|\b\w+_\w+\b", text))
    return np.mean([name in variant for name in names]) if names else None


def corrupt_identifiers(texts, seed=0):
    """Spoil each identifier as people do from memory: without dots, underscores and capitals, one letter mistyped."""

    def spoiled(match, rng):
        return _mistyped(re.sub(r"[._]", " ", match[0]).lower(), rng)

    made = []
    for text in texts:
        rng = generator(text, seed)
        made.append(IDENTIFIER.sub(lambda match, rng=rng: spoiled(match, rng), text))
    return made


# ---- other models


def back_translation(texts, seed=0, translator=None):
    """English to Spanish and back; by Apertium, or any other `translate.Translator`."""
    translator = translator or Apertium()
    return translator(translator(texts, "eng", "spa"), "spa", "eng")


METHODS = {
    "guide's subset": lambda texts, seed: [guide_subset(text) for text in texts],
    "first half": first_half,
    "random half": random_half,
    "word edits": word_edits,
    "typing errors": misspell,
    "back-translation": back_translation,
    "paraphrase": lambda texts, seed: paraphrase(texts),
}


# ---- in embedding space


def noise(vectors, length=0.3, seed=0):
    """Vectors moved in a random direction by about `length`, as unit vectors: float32 (texts, dimensions)."""
    rng = np.random.default_rng(seed)
    moved = vectors + rng.normal(0, length / np.sqrt(vectors.shape[1]), vectors.shape)
    return (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)


def mixup(vectors, targets, alpha=0.4, seed=0):
    """Each text mixed with another one, vectors and labels alike: (vectors, targets).

    vectors: float (texts, dimensions). targets: float (texts, classes), one-hot. The share of the
    other text is drawn from Beta(alpha, alpha). Source: Zhang et al. 2018, mixup, ICLR.
    """
    rng = np.random.default_rng(seed)
    other, own = rng.permutation(len(vectors)), rng.beta(alpha, alpha, (len(vectors), 1))
    return own * vectors + (1 - own) * vectors[other], own * targets + (1 - own) * targets[other]
