"""Makes the warehouse ready, once per home and address. Called by the bring-up.

Once: a warehouse that is gone later (a mount that is missing, say) has to be noticed, not made anew. In a process of
its own: it needs the lake's libraries, which weigh more than the supervisor that would keep them in memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from lakehouse.embedded.faults import as_fault, from_fault
from lakehouse.embedded.files import read_json, write_json
from opscore.domain.errors import OpsError, Unexpected


def prepare(home: Path, warehouse: str, database_url: str, environ: Mapping[str, str]) -> bool:
    """Blocking. True when the warehouse was made ready now; raises LakeUnavailable, StorageFull, InvalidSetting."""
    known = read_json(home / "warehouses.json")
    if warehouse in known:
        return False
    own = {"LAKEHOUSE_WAREHOUSE": warehouse, "LAKEHOUSE_DATABASE_URL": database_url}
    ran = subprocess.run(
        [sys.executable, "-m", "lakehouse.embedded.warehouse"],
        env={**environ, **own},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode != 0:
        raise _fault(ran)
    write_json(home / "warehouses.json", {**known, warehouse: True})
    return True


def main() -> int:
    """In the process: the fault, if there is one, goes to stdout as JSON."""
    from opscore.config import LakeSettings  # noqa: PLC0415 - the parent does not need it
    from opscore.lake.options import LakeOptions  # noqa: PLC0415
    from opscore.lake.storage import init_warehouse  # noqa: PLC0415

    try:
        init_warehouse(LakeOptions.from_settings(LakeSettings.load()))
    except OpsError as error:
        sys.stdout.write(json.dumps(as_fault(error)))
        return 1
    return 0


def _fault(ran: subprocess.CompletedProcess[str]) -> OpsError:
    try:
        return from_fault(json.loads(ran.stdout))
    except ValueError:
        return Unexpected(f"Making the warehouse ready failed: {ran.stderr.strip()[-500:]}")


if __name__ == "__main__":
    sys.exit(main())
