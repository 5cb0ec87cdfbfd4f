"""After launch: percentiles and how many requests they need, Prometheus's text, alerts with a budget."""

import math
from dataclasses import dataclass

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from scipy import stats

from .. import evaluation

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)  # seconds, upper ends


def percentile_interval(values, share, level=0.95):
    """The percentile and an interval for it from two order statistics, whatever the distribution.

    values: float (requests,). share: 0.99 for the p99. Returns an `evaluation.Interval`, whose end is
    infinite where there are too few requests to bound it (`requests_needed`).
    Source: David & Nagaraja 2003, Order Statistics, ch. 7.1.
    """
    values = np.sort(np.asarray(values, dtype=float))
    if len(values) == 0 or not np.isfinite(values).all():
        raise ValueError(f"values must be finite numbers, at least one; got {values[-3:]}")
    if not 0 < share < 1 or not 0 < level < 1:
        raise ValueError(f"share and level must be above 0 and below 1, got {share} and {level}")
    low, high = _ranks(len(values), share, level)
    ends = -math.inf if low < 1 else values[low - 1], math.inf if high > len(values) else values[high - 1]
    return evaluation.Interval(float(np.quantile(values, share)), float(ends[0]), float(ends[1]), level)


def requests_needed(share, level=0.95):
    """The fewest requests from which a percentile has an interval with two finite ends.

    For the p99 at 95 %: so many that the largest of them lies above it all but 2.5 % of the time.
    """
    if not 0 < share < 1 or not 0 < level < 1:
        raise ValueError(f"share and level must be above 0 and below 1, got {share} and {level}")
    return math.ceil(math.log((1 - level) / 2) / math.log(max(share, 1 - share)))


def _ranks(n, share, level):
    "Ranks (from 1) of the order statistics around a percentile, each end missing it (1 − level) / 2 of the time."
    tail = (1 - level) / 2
    below = stats.binom(n, share)  # how many of n requests are below the percentile
    return int(below.ppf(tail)), int(below.ppf(1 - tail)) + 1


# ---- Prometheus


def exposition(seconds, cache_hits, empty, golden_recall):
    """What a scrape of the service returns, in Prometheus's text format.

    seconds: float (requests,). cache_hits, empty: bool (requests,). golden_recall: float, the last one measured.
    """
    registry = CollectorRegistry()
    requests = Counter("search_requests", "Requests served.", ["cache"], registry=registry)
    nothing = Counter("search_empty", "Requests without a document above the threshold.", ["cache"], registry=registry)
    took = Histogram("search_seconds", "Seconds a request.", buckets=BUCKETS, registry=registry)
    recall = Gauge("golden_recall_at_10", "Recall of the golden questions.", registry=registry)
    for second, hit, without in zip(seconds, cache_hits, empty, strict=True):
        requests.labels("hit" if hit else "miss").inc()
        nothing.labels("hit" if hit else "miss").inc(bool(without))
        took.observe(float(second))
    recall.set(golden_recall)
    return generate_latest(registry).decode()


def samples(text):
    """{(name, labels as sorted pairs): value} of a Prometheus text, without the times of creation."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def histogram_quantile(share, text, name):
    """What Prometheus's function of that name makes of a histogram: linear between the ends of a bucket.

    Source: prometheus.io/docs/prometheus/latest/querying/functions.
    """
    buckets = sorted(
        (float(dict(labels)["le"]), n) for (own, labels), n in samples(text).items() if own == f"{name}_bucket"
    )
    if not buckets:
        raise ValueError(f"no histogram {name!r} in the text")
    rank, below, start = share * buckets[-1][1], 0.0, 0.0
    for end, count in buckets:
        if count >= rank:
            return start if math.isinf(end) else start + (end - start) * (rank - below) / (count - below)
        below, start = count, end
    return start


# ---- alerts


@dataclass(frozen=True)
class RateAlert:
    """Rings if at least `count` of a window's `requests` are bad.

    false_alarms: expected in a month of `checks` windows, if requests are bad at the normal rate,
    independently of each other.
    """

    count: int
    requests: int
    checks: int
    false_alarms: float

    def rings(self, bad):
        """bad: number of bad requests, int or array of ints."""
        return np.asarray(bad) >= self.count


def rate_alert(normal, requests, checks=720, budget=1.0):
    """The most sensitive `RateAlert` that stays within a budget of false alarms a month.

    normal: share of requests that are bad when nothing is wrong. requests: in a window.
    checks: windows a month. budget: false alarms a month that you accept.
    """
    if not 0 < normal < 1 or requests < 1 or not 0 < budget <= checks:
        raise ValueError(
            f"need 0 < normal < 1, requests ≥ 1, 0 < budget ≤ checks; got {normal}, {requests}, {budget}, {checks}"
        )
    bad = stats.binom(requests, normal)
    count = int(bad.isf(budget / checks)) + 1
    return RateAlert(count, requests, checks, false_alarms(normal, requests, count, checks))


def false_alarms(normal, requests, count, checks=720):
    """Expected false alarms a month of a rule that rings from `count` bad requests on; see `rate_alert`."""
    return float(checks * stats.binom(requests, normal).sf(count - 1))
