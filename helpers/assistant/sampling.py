"""How one token is drawn: penalties on the logits, softmax at a temperature, the nucleus, a draw.

Plain NumPy on one vector of logits, in the order in which an inference server applies them.
"""

import numpy as np


def penalised(logits, written, frequency_penalty=0.0, presence_penalty=0.0):
    """Logits with OpenAI's two penalties on the tokens already written.

    logits: float array (vocabulary,). written: token ids of the answer so far.
    Each token loses frequency_penalty × (times written), and presence_penalty once if it was
    written at all; negative penalties invite repetition.
    Source: OpenAI API reference, create chat completion.
    """
    logits = np.array(logits, dtype=np.float64)
    tokens, counts = np.unique(np.asarray(written, dtype=np.int64), return_counts=True)
    logits[tokens] -= frequency_penalty * counts + presence_penalty
    return logits


def distribution(logits, temperature=1.0, top_p=1.0):
    """Probabilities from which the next token is drawn: float64 (vocabulary,), summing to 1.

    Softmax of logits / temperature, then only the nucleus: the likeliest tokens, as few as
    reach `top_p` together (Holtzman et al. 2020). Temperature 0 puts everything on the
    likeliest token. Raises ValueError for a negative temperature or top_p outside (0, 1].
    """
    check_settings(temperature, top_p)
    logits = np.asarray(logits, dtype=np.float64)
    if temperature == 0:
        probabilities = np.zeros_like(logits)
        probabilities[logits.argmax()] = 1.0
        return probabilities
    probabilities = np.exp((logits - logits.max()) / temperature)
    probabilities /= probabilities.sum()
    if top_p == 1:
        return probabilities
    likeliest_first = np.argsort(-probabilities, kind="stable")
    before = np.cumsum(probabilities[likeliest_first]) - probabilities[likeliest_first]
    probabilities[likeliest_first[before >= top_p]] = 0.0
    return probabilities / probabilities.sum()


def check_settings(temperature, top_p):
    """Raise ValueError unless temperature ≥ 0 and 0 < top_p ≤ 1."""
    if not 0 <= temperature < np.inf:
        raise ValueError(f"temperature must be 0 (greedy) or a positive number, got {temperature}")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p must be above 0 and at most 1, got {top_p}")


def draw(probabilities, generator):
    """One token id, drawn with `generator`, a `numpy.random.Generator`."""
    reached = np.cumsum(probabilities)  # its last entry may miss 1 by rounding
    return int(np.searchsorted(reached, generator.random() * reached[-1], side="right"))
