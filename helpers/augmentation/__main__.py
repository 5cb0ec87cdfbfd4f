"""`python -m helpers.augmentation`: what each augmentation adds to a classifier, beside plain duplication."""

import argparse
import sys

from . import trying
from .effects import ARMS, IN_EMBEDDING_SPACE, TRAINED_ON, compare, load_material
from .texts import load_splits


def main(arguments=None):
    """Print the comparison, or the variants of one text."""
    parser = argparse.ArgumentParser("python -m helpers.augmentation", description=__doc__.partition(": ")[2])
    parser.add_argument("--text", help="show all variants of this text, and nothing else")
    parser.add_argument("--size", type=int, default=100, help="documents to train on")
    parser.add_argument("--seeds", type=int, default=10, help="training sets, from 2 to 10")
    parser.add_argument("--representation", choices=("embeddings", "TF-IDF"), default="embeddings")
    parser.add_argument("--seed", type=int, default=0, help="for --text")
    chosen = parser.parse_args(arguments)
    if chosen.text is not None and not chosen.text.strip():
        parser.error("--text is empty: there is nothing to make variants of")
    if not 2 <= chosen.seeds <= 10:
        parser.error(f"--seeds must be from 2 to 10, got {chosen.seeds}")
    if not 20 <= chosen.size <= TRAINED_ON - 100:
        parser.error(f"--size must be from 20 to {TRAINED_ON - 100}, got {chosen.size}")
    if chosen.text is not None:
        for tried in trying.try_all(chosen.text, chosen.seed):
            print(f"{tried.method:17} {tried.cosine:5.2f}  {tried.reason:9} {tried.text}")
        return
    material = load_material()
    if material.missing:
        print(f"Left out, what needs back-translation: {material.missing}", file=sys.stderr)
    arms = [a for a in ARMS if chosen.representation == "embeddings" or a not in IN_EMBEDDING_SPACE]
    found = compare(material, arms, material.rows(load_splits().validation), range(chosen.seeds), chosen.size,
                    chosen.representation)  # fmt: skip
    control = found.pop("duplication")
    print(f"{chosen.size} documents, {chosen.seeds} training sets, {chosen.representation}, on validation texts")
    loss, accuracy = control.log_loss.mean(), control.accuracy.mean()
    print(f"{'duplication alone':24}       log loss {loss:.3f}   accuracy {accuracy:.3f}")
    print(f"\n{'minus duplication':24} {'rows':>5}  {'log loss':24} accuracy")
    for arm, scores in found.items():
        effects = (str(scores.effect(control, score)) for score in ("log_loss", "accuracy"))
        print(f"{arm:24} {scores.rows.mean():5.0f}  {'  '.join(f'{effect:24}' for effect in effects)}")


if __name__ == "__main__":
    main()
