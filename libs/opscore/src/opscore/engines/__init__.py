"""What executors compute with: one file per engine, one interface."""

import sys
from types import ModuleType

# DuckDB's extension refuses to load while there is no `__main__`, which is so in a worker process that is starting.
sys.modules.setdefault("__main__", ModuleType("__main__"))
