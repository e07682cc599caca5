"""What one part of a spec demands of another. Run by `opscore.specs` on every spec whose shape is right.

Each rule yields all the places that break it, as paths into the spec, so that a file can be corrected in one go.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from opscore.domain.arguments import EVERY_PIPELINE, accept, allowed
from opscore.domain.cron import cron_fault
from opscore.domain.param import DateParam, IntegerParam, StringParam
from opscore.domain.pipeline import PipelineSpec
from opscore.domain.schedule import DEADLINE, MAIN, ByTheClock
from opscore.domain.source import LakeSource, OdooSource
from opscore.domain.transform import CurrentState, SqlTransform
from opscore.domain.trigger import upstreams

Path = tuple[str | int, ...]
ANY_DAY = date(2000, 1, 1)


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule that is broken: where in the spec, what is wrong, what to do."""

    path: Path
    message: str
    hint: str


def breaches(spec: PipelineSpec) -> list[Breach]:
    """All that is wrong with a spec of the right shape. Files and other specs are not looked at."""
    return [breach for rule in RULES for breach in rule(spec)]


def _there_is_work(spec: PipelineSpec) -> Iterator[Breach]:
    if spec.odoo is None and not spec.transforms:
        yield Breach((), "the pipeline does nothing", "Give it a source of kind odoo, or transforms.")


def _sources_fit(spec: PipelineSpec) -> Iterator[Breach]:
    names = [source.name for source in spec.sources]
    for index, first in _repeated(names):
        yield Breach(
            ("sources", index, "name"),
            f"`{names[index]}` is already the name of sources[{first}]",
            "Give each source a name of its own.",
        )
    odoo = [index for index, source in enumerate(spec.sources) if isinstance(source, OdooSource)]
    for index in odoo[1:]:
        yield Breach(
            ("sources", index),
            f"sources[{odoo[0]}] is an Odoo database already; a pipeline has at most one",
            "Write one pipeline for each Odoo database.",
        )
    if odoo and "bronze" not in _destinations(spec):
        yield Breach(
            ("destinations",), "an Odoo source is ingested into bronze, which is no destination", "Add bronze to them."
        )


def _destinations_fit(spec: PipelineSpec) -> Iterator[Breach]:
    names = _destinations(spec)
    for index, _ in _repeated(names):
        yield Breach(("destinations", index), f"`{names[index]}` is a destination already", "Remove one of the two.")
    if spec.layer not in names:
        yield Breach(
            ("layer",), f"`{spec.layer}` is none of the destinations ({', '.join(names)})", "Make the two agree."
        )


def _transforms_fit(spec: PipelineSpec) -> Iterator[Breach]:
    readable = {source.namespace for source in spec.sources if isinstance(source, LakeSource)}
    for index, transform in enumerate(spec.transforms):
        here = ("transforms", index)
        match transform:
            case CurrentState():
                if transform.source not in readable:
                    hint = f"Add {{name: {transform.source}, kind: lake, namespace: {transform.source}}} to sources."
                    yield Breach((*here, "from"), f"`{transform.source}` is not the namespace of a lake source", hint)
                if transform.source == transform.into:
                    yield Breach((*here, "into"), "a namespace cannot be made from itself", "Name another namespace.")
                yield from _is_destination(spec, (*here, "into"), transform.into)
            case SqlTransform():
                yield from _is_destination(spec, (*here, "table"), transform.table.partition(".")[0])
                for column, _ in _repeated(transform.key):
                    yield Breach(
                        (*here, "key", column), f"`{transform.key[column]}` is in the key twice", "Remove one."
                    )


def _tables_have_one_writer(spec: PipelineSpec) -> Iterator[Breach]:
    targets = [t.table if isinstance(t, SqlTransform) else f"{t.into}.*" for t in spec.transforms]
    for index, first in _repeated(targets):
        field = "table" if isinstance(spec.transforms[index], SqlTransform) else "into"
        yield Breach(
            ("transforms", index, field),
            f"`{targets[index]}` is already written by transforms[{first}]",
            "A table is made by one transform; rename the table or join the two.",
        )


def _validations_fit(spec: PipelineSpec) -> Iterator[Breach]:
    for index, validation in enumerate(spec.validations):
        namespace = validation.dataset.partition(".")[0]
        yield from _is_destination(spec, ("validations", index, "dataset"), namespace)
    named = [v.name if v.name != v.check else index for index, v in enumerate(spec.validations)]
    for index, first in _repeated(named):
        yield Breach(
            ("validations", index, "name"),
            f"`{named[index]}` is already the name of validations[{first}]",
            "Give each check a name of its own, or none.",
        )


def _params_fit(spec: PipelineSpec) -> Iterator[Breach]:
    for name, param in spec.params.items():
        here = ("params", name)
        if name in EVERY_PIPELINE:
            yield Breach(here, f"`{name}` is a parameter of every pipeline", "Choose another name.")
        if isinstance(param, IntegerParam) and param.low > param.high:
            yield Breach((*here, "maximum"), f"{param.high} is less than the minimum {param.low}", "Swap the two.")
            continue
        if param.default is None:
            continue
        if param.required:
            yield Breach((*here, "default"), "a required parameter needs no default", "Remove `required` or `default`.")
        if accept(param, param.default, ANY_DAY) is None:
            yield Breach((*here, "default"), f"`{param.default}` is not {allowed(param)}", "Choose an allowed default.")


def _clocks_fit(spec: PipelineSpec) -> Iterator[Breach]:
    for path, clock in clocks(spec):
        if (clock.cron is None) == (clock.every_seconds is None):
            yield Breach(path, "the schedule needs either `cron` or `every_seconds`", "Give it exactly one of the two.")
        elif clock.cron is not None and (fault := cron_fault(clock.cron)):
            hint = 'Write five fields, for example "*/15 * * * *" or "0 6 * * 1-5".'
            yield Breach((*path, "cron"), f"the schedule {fault}", hint)
    for name in (MAIN, DEADLINE):
        if name in spec.schedules:
            yield Breach(("schedules", name), f"`{name}` is the name of another schedule", "Choose another name.")


def _starts_fit(spec: PipelineSpec) -> Iterator[Breach]:
    for index, name in enumerate(spec.after):
        if name == spec.name:
            yield Breach(("after", index), "a pipeline cannot come after itself", "Remove the name.")
    for index, _ in _repeated(spec.after):
        yield Breach(("after", index), f"`{spec.after[index]}` is named twice", "Remove one of the two.")
    for index, first in _repeated([trigger.name for trigger in spec.triggers]):
        message = f"`{spec.triggers[index].name}` is already the name of triggers[{first}]"
        yield Breach(("triggers", index, "name"), message, "Give each trigger a name of its own.")
    for index, trigger in enumerate(spec.triggers):
        if spec.name in upstreams(trigger):
            yield Breach(("triggers", index), "a pipeline cannot start itself", "Name another pipeline.")
        for twice, _ in _repeated(upstreams(trigger)):
            message = f"`{upstreams(trigger)[twice]}` is named twice"
            yield Breach(("triggers", index, "pipelines", twice), message, "Remove one of the two.")


def _starts_give_params(spec: PipelineSpec) -> Iterator[Breach]:
    """What starts by itself gives only parameters that there are, and all that are required."""
    known = {**spec.params, **EVERY_PIPELINE}
    for path, given in _given_params(spec):
        for name, value in given.items():
            if name not in known:
                message = f"the pipeline has no parameter `{name}`"
                yield Breach((*path, "params", name), message, f"It has {', '.join(sorted(known))}.")
            elif accept(known[name], value, ANY_DAY) is None:
                message = f"`{str(value)[:60]}` is not {allowed(known[name])}"
                yield Breach((*path, "params", name), message, "Choose an allowed value.")
    required = [name for name, param in spec.params.items() if param.required]
    if required and any(name not in given for _, given in _given_params(spec) for name in required):
        yield Breach(
            ("params", required[0], "required"),
            f"`{required[0]}` is required, but the pipeline also starts by itself, without it",
            "Give the parameter a default, or remove what starts the pipeline without it.",
        )


def _given_params(spec: PipelineSpec) -> Iterator[tuple[Path, dict[str, object]]]:
    if spec.schedule:
        yield ("schedule",), spec.schedule.params
    yield from ((("schedules", name), schedule.params) for name, schedule in spec.schedules.items())
    yield from ((("triggers", index), t.params) for index, t in enumerate(spec.triggers) if upstreams(t))
    if spec.after:
        yield ("after",), {}


def _backfill_fits(spec: PipelineSpec) -> Iterator[Breach]:
    if spec.backfill is None:
        return
    for key, name in (("from", spec.backfill.start), ("to", spec.backfill.end)):
        if name is not None and not isinstance(spec.params.get(name), DateParam | StringParam):
            message = f"`{name}` is no parameter of type date or string"
            yield Breach(("backfill", key), message, "Name a parameter that can hold a day or a moment.")
    if spec.backfill.start == spec.backfill.end:
        message = "start and end need parameters of their own"
        yield Breach(("backfill", "to"), message, "Leave `to` out when one is enough.")


def clocks(spec: PipelineSpec) -> Iterator[tuple[Path, ByTheClock]]:
    """Everything in a spec that names moments by the clock, and where it stands."""
    if spec.schedule:
        yield ("schedule",), spec.schedule
    yield from ((("schedules", name), schedule) for name, schedule in spec.schedules.items())
    if spec.expected_by:
        yield ("expected_by",), spec.expected_by


def _caps_fit(spec: PipelineSpec) -> Iterator[Breach]:
    kinds = [cap.kind for cap in spec.caps]
    for index, first in _repeated(kinds):
        yield Breach(
            ("caps", index, "kind"),
            f"`{kinds[index]}` is capped by caps[{first}] already",
            "Keep the lower of the two.",
        )


def _labels_fit(spec: PipelineSpec) -> Iterator[Breach]:
    for index, _ in _repeated(spec.labels):
        yield Breach(("labels", index), f"`{spec.labels[index]}` is a label already", "Remove one of the two.")


def _retries_fit(spec: PipelineSpec) -> Iterator[Breach]:
    if spec.retries.longest_seconds < spec.retries.first_seconds:
        yield Breach(
            ("retries", "longest_seconds"),
            f"{spec.retries.longest_seconds} is less than first_seconds {spec.retries.first_seconds}",
            "The longest wait is at least the first one.",
        )
    for phase, own in spec.retries.phases.items():
        if (own.max_attempts or 1) > spec.retries.max_attempts:
            message = f"{own.max_attempts} is more than the run's max_attempts {spec.retries.max_attempts}"
            yield Breach(("retries", "phases", phase.value, "max_attempts"), message, "Raise retries.max_attempts.")


RULES: tuple[Callable[[PipelineSpec], Iterator[Breach]], ...] = (
    _there_is_work,
    _sources_fit,
    _destinations_fit,
    _transforms_fit,
    _tables_have_one_writer,
    _validations_fit,
    _params_fit,
    _clocks_fit,
    _starts_fit,
    _starts_give_params,
    _backfill_fits,
    _caps_fit,
    _labels_fit,
    _retries_fit,
)


def _destinations(spec: PipelineSpec) -> list[str]:
    return [destination.namespace for destination in spec.destinations]


def _is_destination(spec: PipelineSpec, path: Path, namespace: str) -> Iterator[Breach]:
    if namespace not in _destinations(spec):
        there = ", ".join(_destinations(spec))
        yield Breach(path, f"`{namespace}` is none of the destinations ({there})", f"Add {namespace} to destinations.")


def _repeated(values: Iterable[Hashable]) -> Iterator[tuple[int, int]]:
    """Index of each value that stood before, with the index where it first stood."""
    first: dict[Hashable, int] = {}
    for index, value in enumerate(values):
        if first.setdefault(value, index) != index:
            yield index, first[value]
