// Numbers, times and states as people read them.

import { el } from "./dom.js";

export const ENDED = new Set(["succeeded", "failed", "canceled"]);

// Shapes differ, so that state is never told by colour alone.
const MARKS = { queued: "○", held: "◐", claimed: "◌", running: "●", succeeded: "✓", failed: "✕", canceled: "–" };
const CHECKS = { pass: "✓", warn: "!", fail: "✕", error: "✕" };
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];
const whole = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

export const count = (number) => (number === null || number === undefined ? "" : whole.format(number));

export function bytes(number) {
  let unit = 0;
  while (number >= 1024 && unit < UNITS.length - 1) {
    number /= 1024;
    unit += 1;
  }
  return `${unit && number < 100 ? number.toFixed(1) : Math.round(number)} ${UNITS[unit]}`;
}

/** A moment as the clock where the reader is; the exact time in UTC as its title. */
export function moment(text) {
  if (!text) return document.createTextNode("");
  const at = new Date(text);
  const today = at.toDateString() === new Date().toDateString();
  return el("time", { datetime: text, title: `${text.slice(0, 19).replace("T", " ")} UTC`, text: (today ? clock : day).format(at) });
}

export function duration(milliseconds) {
  const seconds = Math.max(0, milliseconds) / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** How long a run has taken, or took; "" before it starts. */
export function runTime(run, now = Date.now()) {
  if (!run.started_at) return "";
  return duration((run.finished_at ? Date.parse(run.finished_at) : now) - Date.parse(run.started_at));
}

export function stateMark(state) {
  return el("span", { class: "state", "data-state": state }, el("span", { "aria-hidden": "true", text: MARKS[state] ?? "?" }), ` ${state}`);
}

export function checkMark(result) {
  return el("span", { class: "state", "data-state": result }, el("span", { "aria-hidden": "true", text: CHECKS[result] ?? "?" }), ` ${result}`);
}

export const rowsWritten = (run) => run.tables.reduce((sum, table) => sum + table.rows_added, 0);

/** What a run waits for, as a sentence. */
function waitWords({ why, cap, used, limit, unit, due_at, by, reason, requires, draining = [], position, waiting }) {
  const place = position ? ` Place ${position}${waiting ? ` of ${waiting}` : " or further"}.` : "";
  if (cap) return `${used} of ${limit} ${unit ?? ""} in use under cap ${cap}. It starts by itself when room frees up.${place}`;
  if (why === "not_due") return `It is due at ${new Date(due_at).toISOString().slice(0, 19).replace("T", " ")} UTC.`;
  if (why === "paused") return `${by} paused all starts: ${reason}.`;
  if (why === "no_executor" && draining.length) return `Executor ${draining.join(", ")} is being drained and gets nothing new.${place}`;
  if (why === "no_executor") return `No executor is alive that offers ${requires.join(", ") || "free slots"}.${place}`;
  return `It waits for a free slot.${place}`;
}

/** Why a run waits, or why it failed: [tone, sentence, next step], null when there is nothing to say. */
export function reason(run) {
  if (run.wait_reason) return ["waiting", waitWords(run.wait_reason), ""];
  if (run.error) return [ENDED.has(run.state) ? "bad" : "waiting", run.error.message ?? run.error.code, run.error.hint ?? ""];
  if (run.state === "canceled") return ["waiting", `Canceled; the stop was ${run.cancel}.`, ""];
  return null;
}
