// The page: one live feed, three parts that show it. The address says which run is open, so links and Back work.

import { byId, say } from "./dom.js";
import * as panel from "./panel.js";
import * as runs from "./runs.js";
import * as tables from "./tables.js";
import { ENDED } from "./words.js";

const PAGE = 50;
const RETRY_MS = 3000;
const FLEET_MS = 10000;
let feed = null;

async function get(path) {
  const answer = await fetch(path, { headers: { accept: "application/json" } });
  const body = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(body.detail ?? answer.statusText), { hint: body.hint ?? "" });
  return body;
}

function connect() {
  if (document.hidden) return;
  feed?.close();
  feed = new EventSource("/v1/events");
  feed.addEventListener("hello", () => readAll().catch(lost)); // subscribed first, read then: nothing falls between
  feed.addEventListener("run", (message) => changed(JSON.parse(message.data)));
  feed.onerror = lost;
}

async function readAll() {
  const [page, published] = await Promise.all([get(`/v1/runs?limit=${PAGE}`), get("/v1/tables"), fleet()]);
  runs.take(page.items);
  if (!runs.olderCursor()) runs.setOlder(page.next);
  tables.show(published.items);
  live("live", "live");
  await openFromAddress();
}

/** A page nobody sees holds no connection: browsers allow six to one server, over all tabs. */
function disconnect() {
  feed?.close();
  feed = null;
  panel.pause();
}

function lost() {
  live("lost", "not connected, trying again");
  if (!runs.known(panel.shownId()) && byId("runs-table").hidden) {
    say(byId("runs-message"), "bad", "The control room does not answer.", "`lakehouse status` says what runs; this page tries again by itself.");
  }
  if (feed?.readyState === EventSource.CLOSED) setTimeout(connect, RETRY_MS);
}

function live(state, words) {
  const pill = byId("live");
  if (pill.dataset.state === state) return;
  pill.dataset.state = state;
  pill.textContent = words;
}

function changed(run) {
  const before = runs.known(run.id);
  runs.take([run]);
  panel.refresh(run, closePanel);
  if (before?.state !== run.state && ENDED.has(run.state)) announce(`${run.pipeline} ${run.state}`);
  if (run.published_at && before?.published_at !== run.published_at) readTables();
  else if (run.rolled_back_at && before?.rolled_back_at !== run.rolled_back_at) readTables();
}

function announce(words) {
  byId("announce").textContent = words;
}

async function readTables() {
  tables.show((await get("/v1/tables")).items);
}

async function fleet() {
  const alive = (await get("/v1/executors")).items.filter((executor) => executor.alive);
  const busy = alive.reduce((sum, executor) => sum + executor.running, 0);
  const slots = alive.reduce((sum, executor) => sum + executor.slots, 0);
  byId("fleet").textContent = alive.length
    ? `${alive.length} ${alive.length === 1 ? "executor" : "executors"}, ${busy} of ${slots} slots busy`
    : "No executor is alive: runs wait until one starts.";
}

function addressed() {
  return /^\/runs\/([0-9a-f-]{36})$/.exec(location.pathname)?.[1] ?? null;
}

async function openFromAddress() {
  const id = addressed();
  runs.markOpened(id);
  if (!id) return panel.close();
  if (id === panel.shownId() && runs.known(id)) {
    panel.resume();
    return panel.refresh(runs.known(id), closePanel);
  }
  try {
    const run = runs.known(id) ?? (await get(`/v1/runs/${id}`)).run;
    if (addressed() === id) panel.open(run, closePanel);
  } catch (error) {
    panel.fail(id, error.message, error.hint, closePanel);
  }
}

function closePanel() {
  const id = panel.shownId();
  history.pushState(null, "", "/");
  openFromAddress();
  runs.focusRow(id);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-run]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  history.pushState(null, "", link.getAttribute("href"));
  openFromAddress();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && panel.shownId()) closePanel();
});
document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()));
addEventListener("pagehide", disconnect);
addEventListener("pageshow", (event) => event.persisted && connect());
addEventListener("popstate", openFromAddress);
byId("filter").addEventListener("input", tables.filter);
byId("older").addEventListener("click", async () => {
  const page = await get(`/v1/runs?limit=${PAGE}&after=${encodeURIComponent(runs.olderCursor())}`);
  runs.take(page.items);
  runs.setOlder(page.next);
});
setInterval(runs.tick, 1000);
setInterval(() => document.hidden || fleet().catch(() => {}), FLEET_MS);
connect();
