// One run in full: facts, what went wrong, checks, tables, and its events as they come.

import { byId, el, say, withCode } from "./dom.js";
import { checkMark, count, moment, reason, runTime, stateMark } from "./words.js";

let shown = null; // the run
let events = null; // its EventSource
let list = null; // the list its events go to
let last = 0; // run_seq of the newest event in it

/** Show a run and follow its events; the same run again only changes its facts. */
export function open(run, onclose) {
  const panel = byId("panel");
  const isNew = shown?.id !== run.id;
  shown = run;
  if (isNew) {
    pause();
    list = el("ol", { class: "events", reversed: true });
    last = 0;
    panel.replaceChildren(head(run, onclose), el("div", { id: "facts" }), el("h3", { text: "Events" }), list);
    panel.hidden = false;
    resume();
    byId("panel-title").focus();
  }
  byId("facts").replaceChildren(...facts(run));
}

/** Change what is shown when it is this run. */
export function refresh(run, onclose) {
  if (shown?.id === run.id) open(run, onclose);
}

export const shownId = () => shown?.id ?? null;

export function close() {
  pause();
  shown = null;
  byId("panel").hidden = true;
  byId("panel").replaceChildren();
}

/** Stop following the run's events. */
export function pause() {
  events?.close();
  events = null;
}

/** Follow them, from where that stopped. */
export function resume() {
  if (events || !shown) return;
  events = new EventSource(`/v1/runs/${shown.id}/events?after=${last}`);
  events.onmessage = (message) => {
    const event = JSON.parse(message.data);
    last = event.run_seq;
    list.prepend(line(event));
  };
}

/** Say that a run could not be shown. */
export function fail(id, sentence, next, onclose) {
  pause();
  shown = { id };
  const box = el("div", { class: "box" });
  say(box, "bad", sentence, next);
  byId("panel").replaceChildren(head({ id, pipeline: "Run" }, onclose), box);
  byId("panel").hidden = false;
  byId("panel-title").focus();
}

function head(run, onclose) {
  return el(
    "div",
    { class: "head" },
    el("h2", { id: "panel-title", tabindex: "-1", text: run.pipeline }),
    el("button", { type: "button", class: "close", "aria-label": "Close the run", onclick: onclose, text: "✕" }),
    el("p", { class: "quiet id", text: run.id }),
  );
}

function facts(run) {
  const why = reason(run);
  const pairs = [
    ["State", stateMark(run.quarantined ? "failed" : run.state)],
    ["Quarantined", run.quarantined ? "yes: its executors died too often" : ""],
    ["Phase", run.phase ?? ""],
    ["Attempt", run.attempt || ""],
    ["Started by", run.trigger],
    ["Created", moment(run.created_at)],
    ["Started", moment(run.started_at)],
    ["Finished", moment(run.finished_at)],
    ["Duration", runTime(run)],
    ["Score", run.score ?? (run.finished_at ? "not scored yet" : "")],
    ["Rolled back", moment(run.rolled_back_at)],
    ["Parameters", parameters(run.params)],
  ];
  return [
    why && el("div", { class: "box", "data-tone": why[0] }, el("p", {}, ...withCode(why[1])), why[2] && el("p", { class: "quiet" }, ...withCode(why[2]))),
    el("dl", {}, ...pairs.filter(([, value]) => value !== "" && value.textContent !== "").flatMap(([name, value]) => [el("dt", { text: name }), el("dd", {}, value)])),
    checks(run.checks),
    tables(run.tables),
  ].filter(Boolean);
}

function parameters(params) {
  const given = Object.entries(params).filter(([, value]) => value !== null);
  return given.length ? el("code", { text: given.map(([name, value]) => `${name}=${value}`).join(" ") }) : "";
}

function checks(found) {
  if (!found.length) return null;
  const bad = found.filter((check) => check.result !== "pass");
  const title = el("h3", { text: `Checks: ${found.length - bad.length} of ${found.length} passed` });
  if (!bad.length) return title;
  return el("div", {}, title, el("ul", { class: "checks" }, ...bad.map(finding)));
}

function finding(check) {
  const where = check.dataset + (check.column ? `.${check.column}` : "");
  const amount = check.value === null ? "it could not be evaluated" : `${check.value} found, ${check.threshold ?? "none"} allowed`;
  return el(
    "li",
    {},
    el("p", {}, checkMark(check.result), " ", el("strong", { text: check.name }), el("span", { class: "quiet", text: ` on ${where}: ${amount}` })),
    check.message && el("p", { class: "note", text: check.message }),
    check.sample_keys.length ? el("p", { class: "note quiet" }, "First bad keys: ", el("code", { text: check.sample_keys.join("  ") })) : null,
  );
}

function tables(written) {
  if (!written.length) return null;
  const rows = written.map((table) => el("tr", {}, el("th", { scope: "row", text: table.name }), el("td", { class: "number", text: count(table.rows_added) })));
  const title = `${written.length} ${written.length === 1 ? "table" : "tables"} written`;
  return el("details", { open: written.length <= 10 }, el("summary", { text: title }), grid(title, ["Table", "Rows written"], rows));
}

function grid(caption, names, rows) {
  const header = el("tr", {}, ...names.map((name) => el("th", { scope: "col", class: name.startsWith("Rows") ? "number" : null, text: name })));
  return el("div", { class: "scroll" }, el("table", {}, el("caption", { class: "unseen", text: caption }), el("thead", {}, header), el("tbody", {}, ...rows)));
}


function line(event) {
  const facts = Object.entries(event.data).filter(([, value]) => value !== null && typeof value !== "object");
  return el(
    "li",
    { value: event.run_seq },
    moment(event.at),
    el("strong", { text: ` ${event.type.toLowerCase().replaceAll("_", " ")} ` }),
    el("span", { class: "quiet", text: facts.map(([name, value]) => `${name} ${value}`).join(", ") }),
  );
}
