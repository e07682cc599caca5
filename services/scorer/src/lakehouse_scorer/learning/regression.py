"""Weights from history by logistic regression with an L2 penalty. The one door to scikit-learn; imported when needed.

A score is 100 minus a weighted sum of badness, and so is the exponent of a logistic regression without its constant:
coefficients on badness are weights up to a factor. Those below 0 (a bad signal after which things went well) weigh
nothing. Skill is the area under the ROC curve on runs later than those learned from, so that time never runs backwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from lakehouse_scorer.learning.history import SIGNALS, History
from opscore.domain.errors import InvalidInput

FOLDS = 5
STRENGTHS = (0.01, 0.1, 1.0, 10.0)  # inverse penalties that are tried
SEED = 20260304
TOTAL = 100


@dataclass(frozen=True, slots=True)
class Learned:
    """weights: sum to 100 but for rounding. skill: proposed and present, None where nothing could be measured."""

    weights: Mapping[str, Decimal]
    coefficients: Mapping[str, float]
    strength: float
    proposed_skill: float | None
    present_skill: float | None
    folds: int
    library: str


def learn(history: History, present: Mapping[str, Decimal]) -> Learned:
    """Fit all of the history, measure on later folds. Raises InvalidInput without scikit-learn or without a cause."""
    library = _library()
    badness, trouble = np.asarray(history.badness, dtype=float), np.asarray(history.trouble, dtype=int)
    model = _fitted(badness, trouble)
    coefficients = [float(each) for each in model.coef_[0]]
    weights = _weights(coefficients)
    if not any(weights.values()):
        raise InvalidInput(
            "No signal was worse before trouble than before its absence.",
            hint="Look again when more runs have failed; the weights in force stay.",
        )
    now = [float(present.get(name, 0)) for name in SIGNALS]
    skills = list(_skills(badness, trouble, now))
    return Learned(
        weights=weights,
        coefficients={name: round(each, 4) for name, each in zip(SIGNALS, coefficients, strict=True)},
        strength=float(model.C),
        proposed_skill=_mean([proposed for proposed, _ in skills]),
        present_skill=_mean([present_one for _, present_one in skills]),
        folds=len(skills),
        library=library,
    )


def _library() -> str:
    try:
        import sklearn  # noqa: PLC0415 - heavy, and only this command needs it
    except ImportError:
        raise InvalidInput(
            "Weights are learned with scikit-learn, which is not installed here.",
            hint="Install the extra: pip install 'lakehouse-scorer[learning]'.",
        ) from None
    return f"scikit-learn {sklearn.__version__}"


def _fitted(badness: Any, trouble: Any) -> Any:
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.model_selection import GridSearchCV, StratifiedKFold  # noqa: PLC0415

    folds = StratifiedKFold(min(FOLDS, int(trouble.sum()), int((1 - trouble).sum())), shuffle=True, random_state=SEED)
    search = GridSearchCV(LogisticRegression(max_iter=1000), {"C": list(STRENGTHS)}, scoring="neg_log_loss", cv=folds)
    search.fit(badness, trouble)
    return search.best_estimator_


def _weights(coefficients: Sequence[float]) -> dict[str, Decimal]:
    positive = [max(each, 0.0) for each in coefficients]
    total = sum(positive) or 1.0
    return {name: Decimal(f"{each / total * TOTAL:.2f}") for name, each in zip(SIGNALS, positive, strict=True)}


def _skills(badness: Any, trouble: Any, present: Sequence[float]) -> Any:
    from sklearn.metrics import roc_auc_score  # noqa: PLC0415
    from sklearn.model_selection import TimeSeriesSplit  # noqa: PLC0415

    for earlier, later in TimeSeriesSplit(FOLDS).split(badness):
        if min(_classes(trouble[earlier])) < 2 or min(_classes(trouble[later])) < 1:
            continue  # nothing to learn from, or nothing to measure on
        weights = [
            float(each) for each in _weights(list(_fitted(badness[earlier], trouble[earlier]).coef_[0])).values()
        ]
        yield (
            float(roc_auc_score(trouble[later], badness[later] @ np.asarray(weights))),
            float(roc_auc_score(trouble[later], badness[later] @ np.asarray(present))),
        )


def _classes(trouble: Any) -> tuple[int, int]:
    return int(trouble.sum()), int(len(trouble) - trouble.sum())


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None
