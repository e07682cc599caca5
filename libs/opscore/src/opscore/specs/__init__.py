"""Pipeline specs as files: read, judged line by line, and packed into bundles."""

from opscore.specs.fault import SpecFault
from opscore.specs.packing import bundle
from opscore.specs.parsing import parse
from opscore.specs.validation import validate_files

__all__ = ["SpecFault", "bundle", "parse", "validate_files"]
