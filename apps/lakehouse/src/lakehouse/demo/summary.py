"""What the demo built, in a few lines for a person."""

from __future__ import annotations

from datetime import datetime

from lakehouse.demo.pipelines import MARTS
from lakehouse.demo.story import Story
from opscore.ports.people import Json

WIDTH = 24


def summary(story: Story, url: str, *, stays: bool) -> str:
    """Runs, layers, marts, and where to look. stays: whether the stack still runs when this is read."""
    return "\n".join(
        [*_runs(story.runs), "", *_layers(story.tables), "", *_marts(story.tables), "", *_next(url, stays=stays)]
    )


def _runs(runs: list[Json]) -> list[str]:
    return [f"  {run['pipeline']:<{WIDTH}}{run['state']:<11}{_seconds(run):>7}  {_result(run)}" for run in runs]


def _seconds(run: Json) -> str:
    if not run["started_at"] or not run["finished_at"]:
        return "-"
    took = datetime.fromisoformat(run["finished_at"]) - datetime.fromisoformat(run["started_at"])
    return f"{took.total_seconds():.1f} s"


def _result(run: Json) -> str:
    if run["state"] != "succeeded":
        return str((run["error"] or {}).get("code") or "")
    score = "" if run["score"] is None else f", score {run['score']:g}"
    added = sum(table["rows_added"] for table in run["tables"])
    what = f"{len(run['tables'])} tables, {added:,} rows written" if run["tables"] else "nothing new"
    passed = sum(check["result"] == "pass" for check in run["checks"])
    checked = f", {passed} of {len(run['checks'])} checks passed" if run["checks"] else ""
    return f"{what}{checked}{score}"


def _layers(tables: list[Json]) -> list[str]:
    lines: list[str] = []
    for layer in ("bronze", "silver", "gold"):
        rows = [table["rows"] for table in tables if table["layer"] == layer]
        lines.append(f"  {layer:<{WIDTH}}{len(rows):>4} tables {sum(rows):>14,} rows")
    return lines


def _marts(tables: list[Json]) -> list[str]:
    rows = {table["name"]: table["rows"] for table in tables}
    return [f"  {mart:<{WIDTH}}{rows[mart]:>26,} rows" for mart in MARTS if mart in rows]


def _next(url: str, *, stays: bool) -> list[str]:
    return [
        f"  Control room   {url}" if stays else "  Control room   `lakehouse up` starts it again",
        '  Ask            lakehouse sql "select * from gold.revenue_by_month order by month"',
    ]
