"""The few statistics that an evaluation reports, with their intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, rankdata

CONFIDENCE = 0.95
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % interval and the number of cases behind it."""

    value: float
    low: float
    high: float
    n: int

    def to_json(self) -> dict[str, object]:
        """For a report."""
        return {
            "value": round(self.value, 4),
            "interval_95": [round(self.low, 4), round(self.high, 4)],
            "n": self.n,
        }


def proportion(hits: int, n: int) -> Estimate:
    """A share with Wilson's interval (Wilson, 1927)."""
    if n == 0:
        return Estimate(float("nan"), 0.0, 1.0, 0)
    interval = binomtest(hits, n).proportion_ci(CONFIDENCE, method="wilson")
    return Estimate(hits / n, float(interval.low), float(interval.high), n)


def auroc(scores: NDArray[np.float64], positive: NDArray[np.bool_], *, seed: int = 0) -> Estimate:
    """Area under the ROC curve with a percentile bootstrap over exams, stratified by truth."""
    rng = np.random.default_rng(seed)
    hot, cold = scores[positive], scores[~positive]
    draws = [
        _area(rng.choice(hot, len(hot)), rng.choice(cold, len(cold))) for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(_area(hot, cold), float(low), float(high), len(scores))


def _area(hot: NDArray[np.float64], cold: NDArray[np.float64]) -> float:
    """The chance that a positive exam scores higher than a negative one; ties count half."""
    ranks = rankdata(np.concatenate([hot, cold]))[: len(hot)]
    return float((ranks.sum() - len(hot) * (len(hot) + 1) / 2) / (len(hot) * len(cold)))
