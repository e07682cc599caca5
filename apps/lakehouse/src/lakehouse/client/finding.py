"""What `doctor` says about one thing it looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from opscore.ports.people import Json

OK, WARN, FAIL = "ok", "warn", "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """check: what was looked at. result: ok, warn or fail. remedy: what to do, empty when all is well."""

    check: str
    result: str
    detail: str
    remedy: str = ""

    def as_json(self) -> Json:
        """The shape that `doctor -o json` prints."""
        return asdict(self)


def graded(check: str, value: float, limits: tuple[float, float], detail: str, remedy: str) -> Finding:
    """A finding by a number: above the first limit a warning, above the second a failure."""
    warn, fail = limits
    result = FAIL if value > fail else WARN if value > warn else OK
    return Finding(check, result, detail, "" if result == OK else remedy)
