"""The first run takes everything in scope, exactly as the source holds it."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from ingest_bench import IN_SCOPE, Bench, added
