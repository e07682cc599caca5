"""What a stack looks like from outside, and the file it is kept in.

The supervisor writes `<home>/stack.json` (mode 0600: it holds passwords); the CLI reads it. Its shape is the JSON of
`lakehouse status` plus what is needed to know the processes again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lakehouse.embedded.files import read_json, write_json
from lakehouse.embedded.process import Identity

MASK = "***"


class State(StrEnum):
    """Of one process, and of the stack."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True)
class ServiceStatus:
    """One process. started (epoch seconds) tells it from a later one with the same pid."""

    name: str
    state: State
    pid: int | None = None
    started: float | None = None
    restarts: int = 0

    def __post_init__(self) -> None:
        """From the file the state comes as text."""
        object.__setattr__(self, "state", State(self.state))

    @property
    def identity(self) -> Identity | None:
        """The process, if there is one."""
        return Identity(self.pid, self.started) if self.pid is not None and self.started is not None else None


@dataclass(frozen=True)
class Database:
    """The control plane's Postgres; url is the owner's connection string."""

    version: str
    embedded: bool
    url: str


@dataclass(frozen=True)
class Supabase:
    """How Supabase clients reach this stack."""

    url: str
    publishable_key: str
    secret_key: str


@dataclass(frozen=True)
class StackStatus:
    """The whole stack. doing: what the bring-up is at; fault: the error that ended it, as JSON."""

    state: State = State.STOPPED
    url: str = ""
    services: tuple[ServiceStatus, ...] = ()
    database: Database = field(default_factory=lambda: Database("", embedded=True, url=""))
    supabase: Supabase = field(default_factory=lambda: Supabase("", "", ""))
    warehouse: str = ""
    supervisor: Identity | None = None
    doing: str = ""
    fault: dict[str, str] | None = None

    @property
    def healthy(self) -> bool:
        """True when everything that belongs to the stack runs."""
        return self.state is State.RUNNING and all(one.state is State.RUNNING for one in self.services)

    def service(self, name: str) -> ServiceStatus:
        """One service by name; KeyError when it is not part of this stack."""
        return {one.name: one for one in self.services}[name]

    def as_json(self, *, show_secrets: bool = False) -> dict[str, Any]:
        """The object that `lakehouse status -o json` prints."""
        shown = self if show_secrets else self._masked()
        return {
            "healthy": shown.healthy,
            "url": shown.url,
            "services": [{**asdict(one), "state": one.state.value} for one in shown.services],
            "database": asdict(shown.database),
            "supabase": asdict(shown.supabase),
        }

    def write(self, home: Path) -> None:
        """Replace the home's state file."""
        write_json(state_file(home), asdict(self), mode=0o600)

    @classmethod
    def read(cls, home: Path) -> StackStatus:
        """What was written last; a stopped stack when nothing was."""
        kept = read_json(state_file(home))
        if not kept:
            return cls()
        return cls(
            state=State(kept["state"]),
            url=kept["url"],
            services=tuple(ServiceStatus(**one) for one in kept["services"]),
            database=Database(**kept["database"]),
            supabase=Supabase(**kept["supabase"]),
            warehouse=kept["warehouse"],
            supervisor=Identity(**kept["supervisor"]) if kept["supervisor"] else None,
            doing=kept["doing"],
            fault=kept["fault"],
        )

    def _masked(self) -> StackStatus:
        keys = Supabase(self.supabase.url, *(MASK if key else "" for key in _keys(self.supabase)))
        return replace(self, database=replace(self.database, url=mask(self.database.url)), supabase=keys)


def state_file(home: Path) -> Path:
    """Where the state lies."""
    return home / "stack.json"


def mask(url: str) -> str:
    """The URL with its password covered."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    where = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{parts.username}:{MASK}@{where}").geturl()


def _keys(supabase: Supabase) -> tuple[str, str]:
    return supabase.publishable_key, supabase.secret_key
