// The list of runs: one row per run, changed in place, newest first.

import { byId, el, say, withCode } from "./dom.js";
import { count, ENDED, moment, reason, rowsWritten, runTime, stateMark } from "./words.js";

const MOST_ROWS = 500;
const rows = new Map(); // run id -> {run, row}
let older = null; // cursor of the next page
let opened = null; // id of the run in the panel

/** Take in runs from a list or the feed; a run older than what is shown changes nothing. */
export function take(runs) {
  for (const run of runs) {
    const known = rows.get(run.id);
    if (known && known.run.event_seq > run.event_seq) continue;
    const row = makeRow(run);
    if (known) known.row.replaceWith(row);
    else insert(run, row);
    rows.set(run.id, { run, row });
  }
  forget();
  byId("runs-table").hidden = rows.size === 0;
  if (rows.size) byId("runs-message").hidden = true;
  else sayEmpty();
}

export const known = (id) => rows.get(id)?.run;

/** Mark the run that the panel shows. */
export function markOpened(id) {
  const before = opened;
  opened = id;
  for (const one of [before, id]) if (rows.has(one)) take([rows.get(one).run]);
}

/** Remember where the list goes on; null at its end. */
export function setOlder(cursor) {
  older = cursor;
  byId("older").hidden = !cursor;
}

export const olderCursor = () => older;

/** Let the durations of unfinished runs grow. */
export function tick() {
  for (const { run, row } of rows.values()) if (!ENDED.has(run.state)) row.querySelector(".duration").textContent = runTime(run);
}

/** Give the keyboard back to the row that opened the panel. */
export function focusRow(id) {
  rows.get(id)?.row.querySelector("a").focus();
}

function sayEmpty() {
  say(byId("runs-message"), "quiet", "No run yet.", "`lakehouse demo` builds a lakehouse from nothing; `lakehouse pipeline run NAME` starts one run.");
}

function makeRow(run) {
  const link = el("a", { href: `/runs/${run.id}`, "data-run": run.id, text: run.pipeline, "aria-current": run.id === opened && "true" });
  const why = reason(run);
  const note = why && el("p", { class: "note", "data-tone": why[0] }, ...withCode(why[1]), why[2] && el("span", { class: "quiet" }, " ", ...withCode(why[2])));
  // the roles are said because a narrow screen lays rows out as blocks, which would unsay them
  const cell = (content, kind = "") => el("td", { role: "cell", class: kind }, content);
  return el(
    "tr",
    { role: "row", "data-id": run.id, "data-opened": run.id === opened },
    el("th", { scope: "row", role: "rowheader" }, link, note),
    cell(stateMark(run.state)),
    cell(phaseOf(run)),
    cell(moment(run.started_at ?? run.created_at)),
    cell(runTime(run), "number duration"),
    cell(run.score, "number"),
    cell(run.tables.length ? count(rowsWritten(run)) : "", "number"),
  );
}

function phaseOf(run) {
  if (ENDED.has(run.state) || !run.phase) return run.phase ?? "";
  const { done, total, unit } = run.progress ?? {};
  if (!total) return run.phase;
  const words = `${run.phase} ${done}/${total} ${unit ?? ""}`;
  return el("span", { class: "phase" }, words, el("progress", { value: done, max: total, "aria-label": words }));
}

function insert(run, row) {
  const body = byId("runs-table").tBodies[0];
  const after = [...body.rows].find((other) => isNewer(run, rows.get(other.dataset.id).run));
  body.insertBefore(row, after ?? null);
}

const isNewer = (one, other) => one.created_at > other.created_at || (one.created_at === other.created_at && one.id > other.id);

function forget() {
  const body = byId("runs-table").tBodies[0];
  while (body.rows.length > MOST_ROWS) {
    rows.delete(body.lastElementChild.dataset.id);
    body.lastElementChild.remove();
  }
}
