// Published tables by layer, gold first because that is what people ask for.

import { byId, el, say } from "./dom.js";
import { bytes, count, moment } from "./words.js";

const ORDER = ["gold", "silver", "bronze"];
let all = [];
const unfolded = new Map(); // layer -> whether its reader opened it

/** Show these tables. */
export function show(tables) {
  all = tables;
  byId("filter").hidden = !tables.length;
  if (!tables.length) {
    byId("layers").replaceChildren();
    say(byId("tables-message"), "quiet", "No table is published yet.", "`lakehouse pipeline run odoo_ingest_bronze --wait=chain` builds bronze, silver and gold.");
    return;
  }
  draw();
}

export function filter() {
  draw();
}

function draw() {
  const text = byId("filter").value.trim().toLowerCase();
  const found = all.filter((table) => table.name.includes(text));
  byId("tables-message").hidden = found.length > 0;
  if (!found.length) say(byId("tables-message"), "quiet", `No table is called anything like “${text}”.`, "Clear the filter to see all.");
  const layers = [...new Set([...ORDER, ...found.map((table) => table.layer)])];
  byId("layers").replaceChildren(...layers.map((layer) => group(layer, found.filter((table) => table.layer === layer), text)).filter(Boolean));
}

function group(layer, tables, text) {
  if (!tables.length) return null;
  const rows = tables.reduce((sum, table) => sum + table.rows, 0);
  const words = `${tables.length} ${tables.length === 1 ? "table" : "tables"}, ${count(rows)} rows`;
  const isOpen = text !== "" || (unfolded.get(layer) ?? layer === "gold");
  const details = el(
    "details",
    { open: isOpen },
    el("summary", {}, el("strong", { text: layer }), el("span", { class: "quiet", text: ` ${words}` })),
    el("div", { class: "scroll" }, grid(layer, tables)),
  );
  details.addEventListener("toggle", () => text === "" && unfolded.set(layer, details.open));
  return details;
}

function grid(layer, tables) {
  const names = ["Table", "Rows", "Size", "Published"];
  const header = names.map((name, index) => el("th", { scope: "col", class: index === 1 || index === 2 ? "number" : null, text: name }));
  const rows = tables.map((table) =>
    el(
      "tr",
      {},
      el("th", { scope: "row", text: table.name, title: `snapshot ${table.snapshot_id}` }),
      el("td", { class: "number", text: count(table.rows) }),
      el("td", { class: "number", text: bytes(table.bytes) }),
      el("td", {}, moment(table.updated_at)),
    ),
  );
  return el("table", {}, el("caption", { class: "unseen", text: `Tables of ${layer}` }), el("thead", {}, el("tr", {}, ...header)), el("tbody", {}, ...rows));
}
