# SPDX-License-Identifier: MIT
"""Says whether two measurements of one benchmark differ; it must not know where they come from.

A change is new over old in speed: 1.05 is 5 % faster. Three or more repetitions on both sides give a bootstrap
interval of the ratio of medians. Fewer: the interval follows from the spread and number of chunks inside each run
(standard error of a median, 0.93 quartile distances / sqrt(n)). Either way 1 % a side is added for what one process
cannot see, such as where its pages happened to lie, and a difference counts when the 95 % interval leaves out 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy
from results import RATIOS, Results, Row, natural

RESAMPLES = 4000
UNSEEN = 0.01  # relative
BOTH_UNSEEN = math.hypot(UNSEEN, UNSEEN)
MEDIAN_ERROR = 1.2533 / 1.349  # of quartile distance / sqrt(n), for a normal distribution


@dataclass(frozen=True)
class Change:
    name: str
    metric: str
    old: float
    new: float
    speed: float  # new over old: above 1 is faster
    low: float
    high: float

    @property
    def verdict(self) -> str:
        if self.low > 1.0:
            return "faster"
        return "slower" if self.high < 1.0 else "same"


def metric_of(old: Row, new: Row) -> str:
    """A ratio that both have, else time."""
    for counter in RATIOS:
        if old.samples(counter) and new.samples(counter):
            return counter
    return "ns"


def bootstrap(old: list[float], new: list[float]) -> tuple[float, float]:
    """95 % interval of median(new) / median(old)."""
    random = numpy.random.default_rng(20261123)
    old_array, new_array = numpy.asarray(old), numpy.asarray(new)
    medians = [numpy.median(random.choice(a, size=(RESAMPLES, a.size)), axis=1) for a in (old_array, new_array)]
    low, high = numpy.percentile(medians[1] / medians[0], [2.5, 97.5])
    return float(low), float(high)


def relative_error(row: Row) -> float:
    """Of one run's median, from its chunks."""
    rounds = max(row.value("rounds") or 1.0, 1.0)
    spreads = [row.value("spread") or 0.0, row.value("reference_spread") or 0.0]
    return math.hypot(UNSEEN, *(MEDIAN_ERROR * s / math.sqrt(rounds) for s in spreads))


def interval(old: Row, new: Row, metric: str) -> tuple[float, float]:
    """95 % interval of new over old in the metric itself."""
    if min(len(old.samples(metric)), len(new.samples(metric))) >= 3:
        low, high = bootstrap(old.samples(metric), new.samples(metric))
        return low * math.exp(-1.96 * BOTH_UNSEEN), high * math.exp(1.96 * BOTH_UNSEEN)
    ratio = new.value(metric) / old.value(metric)
    error = 1.96 * math.hypot(relative_error(old), relative_error(new))
    return ratio * math.exp(-error), ratio * math.exp(error)


def change(old: Row, new: Row) -> Change:
    metric = metric_of(old, new)
    before, after = old.value(metric), new.value(metric)
    low, high = interval(old, new, metric)
    if metric == "ns":  # less time is more speed
        low, high = 1 / high, 1 / low
    speed = before / after if metric == "ns" else after / before
    return Change(old.name, metric, before, after, speed, low, high)


def changes(old: Results, new: Results) -> list[Change]:
    """Of every benchmark that ran in both, the worst first."""
    both = [n for n in old.rows if n in new.rows and not old.rows[n].error and not new.rows[n].error]
    found = [change(old.rows[n], new.rows[n]) for n in both]
    return sorted(found, key=lambda c: (c.speed, natural(c.name)))
