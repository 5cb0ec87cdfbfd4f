"""Temperature scaling and calibration error, by hand and as scikit-learn has them."""

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV, calibration_curve
from sklearn.frozen import FrozenEstimator

from .. import evaluation

TEMPERATURES = np.geomspace(0.25, 16, 600)


def grid_temperature(logits, labels, grid=TEMPERATURES):
    """The T of a grid that makes softmax(logits / T) likeliest: one number, which changes no answer.

    logits: float (texts, classes), or log probabilities. labels: int (texts,), none of them trained on.
    Source: Guo et al. 2017, On Calibration of Modern Neural Networks.
    """
    losses = [evaluation.log_loss(softmax(logits / temperature, axis=1), labels) for temperature in grid]
    return float(grid[int(np.argmin(losses))])


def cooled(fit, monitor_x, monitor_y, vectors):
    """Probabilities (runs, texts, classes) of a `training.Fit`, each run scaled by its own temperature.

    monitor_x, monitor_y: vectors and labels that choose the temperature. vectors: (texts, dimensions) to predict.
    """
    logits = [np.log(fit.probabilities(part).astype(float).clip(1e-12)) for part in (monitor_x, vectors)]
    return np.array([softmax(b / grid_temperature(a, monitor_y), axis=1) for a, b in zip(*logits, strict=True)])


class Logits(ClassifierMixin, BaseEstimator):
    """A finished model for scikit-learn, whose input are its logits."""

    def __init__(self, classes):
        self.classes = classes

    def fit(self, logits, labels):
        """Nothing to learn."""
        self.classes_ = np.arange(self.classes)
        return self

    def decision_function(self, logits):
        """The logits, as they come."""
        return logits

    def predict(self, logits):
        """The class with the largest logit."""
        return logits.argmax(axis=1)


def sklearn_scaled(logits, labels, others):
    """Probabilities for `others` (texts, classes) after scikit-learn's temperature scaling on `logits` and `labels`."""
    frozen = FrozenEstimator(Logits(logits.shape[1]).fit(logits, labels))
    return CalibratedClassifierCV(frozen, method="temperature").fit(logits, labels).predict_proba(others)


def sklearn_calibration_error(probabilities, labels, bins=10):
    """Expected calibration error from scikit-learn's reliability curve: its bins, weighted by their texts."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    share_right, mean_confidence = calibration_curve(right, confidence, n_bins=bins)
    texts = np.histogram(confidence, np.linspace(0, 1, bins + 1))[0]
    return float(np.average(np.abs(share_right - mean_confidence), weights=texts[texts > 0]))


def mean_scores(probabilities, labels):
    """(log loss, calibration error), each the mean over models, from probabilities (models, texts, classes)."""
    scores = [(evaluation.log_loss(p, labels), evaluation.calibration_error(p, labels)) for p in probabilities]
    return tuple(map(float, np.mean(scores, axis=0)))
