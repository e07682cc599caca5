"""From history to a stored proposal. Called by `lakehouse-scorer --propose` and `lakehouse score weights propose`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from lakehouse_scorer.learning.history import history
from opscore.domain.errors import InvalidInput
from opscore.ports.event_log import Learning

FEWEST_RUNS = 200
FEWEST_OF_A_KIND = 20
HINT = "Look again when there is more history, or further back with --since."


async def propose(control: Learning, environment: UUID, *, since: timedelta, by: str) -> UUID:
    """Learn and store; the proposal's id. Raises InvalidInput when the history says too little."""
    runs = await control.training_runs(environment, since)
    troubles = sum(run.trouble for run in runs)
    if len(runs) < FEWEST_RUNS or min(troubles, len(runs) - troubles) < FEWEST_OF_A_KIND:
        raise InvalidInput(
            f"{len(runs)} judged runs, {troubles} of them before trouble, say too little: "
            f"{FEWEST_RUNS} runs are needed, {FEWEST_OF_A_KIND} before trouble and {FEWEST_OF_A_KIND} not.",
            hint=HINT,
        )
    from lakehouse_scorer.learning.regression import FOLDS, SEED, learn  # noqa: PLC0415 - heavy

    version, present = await control.weights_in_force(environment)
    learned = learn(history(runs), present)
    evidence: dict[str, Any] = {
        "runs": len(runs),
        "troubles": troubles,
        "preceded": {
            "failures": sum(run.failed_next for run in runs),
            "rollbacks": sum(run.rolled_back for run in runs),
            "incidents": sum(run.incident for run in runs),
        },
        "pipelines": len({run.pipeline for run in runs}),
        "from": runs[-1].finished_at.isoformat(),
        "to": runs[0].finished_at.isoformat(),
        "method": "logistic regression, L2 penalty, on 1 - value; weights are its positive coefficients scaled to 100",
        "library": learned.library,
        "inverse_penalty": learned.strength,
        "seed": SEED,
        "coefficients": dict(learned.coefficients),
        "skill": {
            "measure": "area under the ROC curve on later runs",
            "folds": learned.folds,
            "of_folds": FOLDS,
            "proposed": learned.proposed_skill,
            "present": learned.present_skill,
        },
    }
    weights = {name: str(weight) for name, weight in learned.weights.items()}
    return await control.propose_weights(environment, version, weights, evidence, by=by)
