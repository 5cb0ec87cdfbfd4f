"""The guide's ten points before deploying, looked for in a project folder or a config."""

import ast
import json
from dataclasses import dataclass
from pathlib import Path

from ..assistant.config import Config


@dataclass(frozen=True)
class Point:
    """A point of the guide's checklist: what is worth looking for instead, whether it is there, and where."""

    guide: str
    looks_for: str
    there: bool | None  # None: this target cannot tell
    where: str

    def __str__(self):
        mark = {True: "found", False: "MISSING", None: "cannot tell"}[self.there]
        return f"{mark:11} {self.looks_for}" + (f" ({self.where})" if self.where else "")


# (the guide's point, what is worth looking for, names in code that speak for it, the config's knob that does)
CHECKLIST = (
    ("Calculate optimal parameters using formulas", "settings searched on data, not computed from its size",
     ("GridSearchCV", "RandomizedSearchCV", "RidgeCV", "LogisticRegressionCV", "hyperopt", "optuna", "fmin", "Tuner",
      "grid_search", "random_search", "tpe_search"), None),
    ("Start with conservative/balanced strategy", "a baseline to beat",
     ("DummyClassifier", "DummyRegressor", "baseline", "most_frequent"), None),
    ("Change parameters one at a time", "changes compared on the same items",
     ("mcnemar", "paired_difference", "ttest_rel", "wilcoxon", "permutation_test", "bootstrap"), None),
    ("Use 70/15/15 train/val/test split", "a held-out split, or cross-validation",
     ("train_test_split", "KFold", "StratifiedKFold", "GroupKFold", "StratifiedGroupKFold", "GroupShuffleSplit",
      "cross_val_score", "cross_validate", "random_split", "HeldOut"), None),
    ("Monitor train vs validation accuracy gap", "scores on training and held-out data, both kept",
     ("train_loss", "val_loss", "held_out_loss", "val_accuracy", "learning_curve", "return_train_score"), None),
    ("Add regularization if gap > 5%", "a penalty or early stopping, where anything is trained",
     ("weight_decay", "Ridge", "dropout", "Dropout", "l1_ratio", "EarlyStopping", "EarlyStopper",
      "early_stopping"), None),
    ("Use batch processing for efficiency", "work in batches", ("batch_size", "DataLoader"), "batch_size"),
    ("Cache results for repeated queries", "a cache", ("lru_cache", "cache", "redis", "Memory", "diskcache"), None),
    ("Use approximate search (FAISS) for 10k+ docs", "an approximate index, for more documents than a scan can bear",
     ("IndexIVFFlat", "IndexHNSWFlat", "IndexIVFPQ", "index_factory", "hnswlib", "annoy"), None),
    ("Monitor performance in production", "metrics of the running system",
     ("prometheus_client", "opentelemetry", "statsd", "SummaryWriter", "mlflow", "wandb"), None),
)  # fmt: skip


def checklist(target):
    """The guide's ten points, looked for in a project folder or a `Config`: a tuple of ten `Point`.

    It finds names in code, and so says what is missing; it cannot say that what is there is right. Raises
    ValueError for a folder that does not exist or has no Python code, TypeError for any other target.
    """
    if isinstance(target, Config):
        return tuple(
            Point(guide, looks_for, None if knob is None else getattr(target, knob) > 1, knob or "no config says")
            for guide, looks_for, _, knob in CHECKLIST
        )
    if not isinstance(target, str | Path):
        raise TypeError(f"target must be a folder or a Config, got {type(target).__name__}")
    folder = Path(target)
    if not folder.is_dir():
        raise ValueError(f"target must be a folder, and {str(target)!r} is none")
    files = {path.relative_to(folder).as_posix(): _names(path) for path in _code(folder)}
    if not files:
        raise ValueError(f"{str(target)!r} has no Python code to look through")
    return tuple(
        Point(guide, looks_for, bool(where), ", ".join(where[:2])) for guide, looks_for, names, _ in CHECKLIST
        for where in [[path for path, used in files.items() if used & set(names)]]
    )  # fmt: skip


def _code(folder):
    "Python files and notebooks, without hidden folders and installed packages."
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") or part in ("site-packages", "node_modules") for part in parts)
        if path.suffix in (".py", ".ipynb") and not hidden and path.is_file():
            yield path


def _names(path):
    "Every name that a file's code uses: variables, attributes, arguments, imports."
    try:
        text = path.read_text("utf-8")
        if path.suffix == ".ipynb":
            cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
            lines = [line for cell in cells for line in "".join(cell["source"]).splitlines()]
            text = "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))
        tree = ast.parse(text)
    except (SyntaxError, ValueError, KeyError, TypeError):  # what cannot be read holds nothing that can be found
        return set()
    found = set()
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name"):
            if isinstance(value := getattr(node, field, None), str):
                found |= {value, value.partition(".")[0]}
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= set(node.module.split("."))
    return found
