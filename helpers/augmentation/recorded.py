"""What takes too long for a notebook: `make results` writes it to results/03_augmentation.json."""

import numpy as np

from .. import evaluation
from ..course.results import load, recorded
from . import augmenters, effects, gate, texts, translate
from . import paraphrase as paraphrasing

LESSON = "03_augmentation"
PENALTIES = {
    "embeddings": effects.PENALTIES,
    "TF-IDF": (3e-4, 1.5e-4, 1e-4, 7e-5, 5e-5, 3e-5, 2e-5, 1e-5, 5e-6),  # long sparse vectors want a weaker one
}


@recorded(LESSON, depends_on=(paraphrasing, texts.load_sources, texts.load_splits))
def paraphrases(*, documents=effects.TRAINED_ON, start=0):
    """SmolLM2's paraphrases of the pool's first sources, about 0.8 CPU seconds each: {text: paraphrase}."""
    written = [source.text for source in texts.load_splits().pool[start : start + documents]]
    return dict(zip(written, paraphrasing.paraphrase(written), strict=True))


@recorded(LESSON, depends_on=(augmenters, effects, gate, texts, translate.Apertium))
def comparison(*, sizes=(100, 300), representations=("embeddings", "TF-IDF"), seeds=tuple(range(10))):
    """Every arm in every setting, on the test set: {"TF-IDF, 100": {arm: penalty, rows, log losses, accuracies}}."""
    material = effects.load_material()
    test, found = material.rows(texts.load_splits().test.open("to record the comparison")), {}
    for representation in representations:
        arms = [a for a in effects.ARMS if representation == "embeddings" or a not in effects.IN_EMBEDDING_SPACE]
        for size in sizes:
            scores = effects.compare(material, arms, test, seeds, size, representation, PENALTIES[representation])
            found[f"{representation}, {size}"] = {arm: _plain(one) for arm, one in scores.items()}
    return found


@recorded(LESSON, depends_on=(effects, texts))
def learning_curve(*, sizes=(50, 75, 100, 125, 150, 200, 300, 500, 1000), seeds=tuple(range(10))):
    """Duplication, thus plain training, on more and more real documents, on the test set."""
    material = effects.load_material()
    test = material.rows(texts.load_splits().test.open("to record the learning curve"))
    found = [effects.compare(material, ["duplication"], test, seeds, size)["duplication"] for size in sizes]
    return {
        "sizes": list(sizes),
        **{score: [_plain(one)[score] for one in found] for score in ("log_loss", "accuracy")},
    }


def _plain(scores):
    return {
        "penalty": scores.penalty,
        "rows": float(np.mean(scores.rows)),
        "log_loss": np.round(scores.log_loss, 4).tolist(),
        "accuracy": np.round(scores.accuracy, 4).tolist(),
    }


def contrast(arm, other, score="log_loss"):
    """One arm minus another, paired by seed, in each recorded setting: {"TF-IDF, 100": `evaluation.Interval`}."""
    settings = load(LESSON, "comparison").values.items()
    return {name: evaluation.over_seeds(np.subtract(arms[arm][score], arms[other][score])) for name, arms in settings}


def recorded_effects(score="log_loss"):
    """Each arm minus duplication, as recorded: {"TF-IDF, 100": {arm: `evaluation.Interval`}}."""
    found = {}
    for setting, arms in load(LESSON, "comparison").values.items():
        base = arms["duplication"][score]
        found[setting] = {
            arm: evaluation.over_seeds(np.subtract(scores[score], base))
            for arm, scores in arms.items()
            if arm != "duplication"
        }
    return found


def counted(settings):
    """How many comparisons of pure variants with duplication there are, how many lower log loss, how many raise it.

    settings: iterable of {arm: `evaluation.Interval`}. Arms that bring other documents are left out.
    """
    with_others = {arm for arm, added in effects.ARMS.items() if {"related", "new"} & set(added)}
    pure = [effect for arms in settings for arm, effect in arms.items() if arm not in with_others]
    return len(pure), sum(effect.high < 0 for effect in pure), sum(effect.low > 0 for effect in pure)
