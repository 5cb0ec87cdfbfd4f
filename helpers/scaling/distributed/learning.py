"""What more workers and more data do to learning: a larger global batch, and a power law that is asked for too much."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from ... import evaluation, training


def global_batch(data, workers=(1, 4, 16), batch=32, learning_rate=0.1, epochs=20, seeds=range(5), tried=()):
    """Held-out loss if N workers bring a batch each, with the learning rate of one worker and with N times it.

    N ranks with `batch` texts each compute what one process computes with N · batch, so one process stands for them.
    tried: further multiples of the rate for the most workers; "best" is the one, of all, that ends lowest.
    Returns {(N, "same", "scaled" or "best"): float array (seeds, epochs)}. Source of the rule: Goyal et al. 2017.
    """
    seeds, found = list(seeds), {}
    texts = len(data.x) // (batch * max(workers)) * batch * max(workers)  # no odd batch at an epoch's end
    drawn = training.draw_training_sets(data.x, data.y, texts, seeds)
    for n in workers:
        rates = {"same": learning_rate} | ({"scaled": n * learning_rate} if n > 1 else {})
        rates |= {f"{times}": times * learning_rate for times in tried if n == max(workers)}
        for name, rate in rates.items():
            fitted = training.fit(
                training.Head(64), drawn, (data.held_x, data.held_y), data.classes, seeds,
                epochs=epochs, batch_size=n * batch, optimizer="sgd", learning_rate=rate,
            )  # fmt: skip
            found[n, name] = fitted.history.held_out_loss
    if tried:
        most = max(workers)
        own = {name: found.pop((most, name)) for n, name in list(found) if n == most}
        found |= {(most, name): own[name] for name in ("same", "scaled")}
        found[most, "best"] = min(own.values(), key=lambda curves: curves[:, -1].mean())
    return found


def power_law(data, sizes=(72, 144, 288, 576), target=1152, penalties=(3.0, 10.0, 30.0), seeds=range(6)):
    """Held-out loss by number of training texts, and what a power law fitted to `sizes` promises at `target`.

    penalties: values of C, of which each size uses the one with the lowest loss; otherwise a fixed one would bend the
    curve. Each seed draws one order of the texts and fits its own law. Returns {"sizes",
    "losses": float array (seeds, sizes and target), "promised": the same of the laws, "missed": an
    `evaluation.Interval` of measured minus promised at the target, over seeds, given these held-out texts}.
    Source: Hestness et al. 2017, arXiv:1712.00409.
    """
    losses = np.empty((len(penalties), len(seeds), len(sizes) + 1))
    with threadpool_limits(1):  # problems this small are slower on two
        for row, seed in enumerate(seeds):
            for column, size in enumerate((*sizes, target)):
                x, y = training.draw_training_sets(data.x, data.y, size, [seed])
                for level, penalty in enumerate(penalties):
                    model = LogisticRegression(C=penalty, max_iter=300).fit(x[0], y[0])
                    losses[level, row, column] = evaluation.log_loss(model.predict_proba(data.held_x), data.held_y)
    best = losses.mean(axis=1).argmin(axis=0)
    losses = losses[best, :, np.arange(len(best))].T
    laws = [np.polyfit(np.log(sizes), np.log(row[:-1]), 1) for row in losses]
    promised = np.array([np.exp(np.polyval(law, np.log((*sizes, target)))) for law in laws])
    missed = evaluation.over_seeds(losses[:, -1] - promised[:, -1])
    return {"sizes": (*sizes, target), "losses": losses, "promised": promised, "missed": missed}
