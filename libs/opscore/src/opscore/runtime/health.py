"""What the parts of a process say about themselves. Written by loops, read by the health endpoint."""

from __future__ import annotations

from typing import Any


class Health:
    """Component -> its fault, or None while it is well."""

    def __init__(self) -> None:
        self._faults: dict[str, str | None] = {}

    def well(self, component: str) -> None:
        """The component works."""
        self._faults[component] = None

    def ill(self, component: str, fault: str) -> None:
        """The component does not work, and why."""
        self._faults[component] = fault

    @property
    def healthy(self) -> bool:
        """Whether at least one component reported and none is ill."""
        return bool(self._faults) and not any(self._faults.values())

    def as_json(self) -> dict[str, Any]:
        """{component: {"healthy", "fault"}}."""
        return {name: {"healthy": fault is None, "fault": fault} for name, fault in sorted(self._faults.items())}
