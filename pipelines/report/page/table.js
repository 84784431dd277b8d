// The table of entities: all are in memory, a page of them is in the document.
const PER_PAGE = 50;
const table = { fields: [], rows: [], shown: [], page: 0, by: null, down: false };

function cellText(value, kind) {
  if (value === null || value === undefined) return "-";
  if (kind === "count") return value.toLocaleString("en-US");
  if (kind === "p") return value < 1e-4 ? value.toExponential(1) : value.toFixed(4);
  if (kind === "metric" || kind === "change") {
    const size = Math.abs(value);
    let text = size === 0 ? "0" : size < 1e-4 || size >= 1e6 ? size.toExponential(2)
      : size <= 1 ? size.toFixed(4) : size.toLocaleString("en-US", { maximumSignificantDigits: 5 });
    if (value < 0) text = `\u2212${text}`;
    else if (kind === "change" && value > 0) text = `+${text}`;
    return text;
  }
  return String(value);
}

// Why an entity has its verdict: a line of its own, below its figures.
function reason(row) {
  const place = table.fields.findIndex((f) => f.name === "reason");
  if (place < 0 || !row[place]) return [];
  const cell = made("td", { className: "reason", colSpan: table.fields.length - 1 },
    made("span", { textContent: row[place] }));
  return [made("tr", {}, cell)];
}

const columns = () => table.fields.filter((f) => f.name !== "reason");
const isNumber = (kind) => kind !== "text" && kind !== "word";
const WORDS = { blessed: "good", refused: "bad", failed: "bad" };

function cell(value, field, first) {
  const text = cellText(value, field.kind);
  if (first) return made("th", { scope: "row", textContent: text });
  const td = made("td", { className: isNumber(field.kind) ? "number" : "" });
  const change = field.kind === "change" && value ? (value * field.better > 0 ? "good" : "bad") : null;
  const word = change || (field.kind === "word" && WORDS[value]);
  td.append(word ? made("span", { className: `word ${word}`, textContent: text }) : text);
  return td;
}

// Values that are not there come last, in either direction.
function compare(a, b, place, number, down) {
  const [x, y] = [a[place], b[place]];
  const [noX, noY] = [x === null || x === undefined, y === null || y === undefined];
  if (noX || noY) return noX - noY;
  const order = number ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
  return down ? -order : order;
}

function select() {
  const wanted = byId("entity-search").value.trim().toLowerCase();
  const verdict = byId("entity-verdict").value;
  const place = table.fields.findIndex((f) => f.name === "verdict");
  table.shown = table.rows.filter((row) =>
    (!wanted || String(row[0]).toLowerCase().includes(wanted)) && (!verdict || row[place] === verdict));
  if (table.by !== null) {
    const number = isNumber(table.fields[table.by].kind);
    table.shown.sort((a, b) => compare(a, b, table.by, number, table.down));
  }
  table.page = 0;
  show();
}

function show() {
  const start = table.page * PER_PAGE;
  const rows = table.shown.slice(start, start + PER_PAGE);
  byId("entity-table").tBodies[0].replaceChildren(...rows.flatMap((row) => {
    const cells = columns().map((field, i) => cell(row[i], field, i === 0));
    return [made("tr", { className: "entity" }, ...cells), ...reason(row)];
  }));
  const count = table.shown.length.toLocaleString("en-US");
  const all = table.rows.length.toLocaleString("en-US");
  byId("entity-status").textContent =
    table.shown.length === table.rows.length ? `${all} entities` : `${count} of ${all} entities`;
  columns().forEach((field, i) => {
    const head = byId("entity-table").tHead.rows[0].cells[i];
    if (i === table.by) head.setAttribute("aria-sort", table.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
    head.querySelector("button").textContent = field.title + (i !== table.by ? "" : table.down ? " ▼" : " ▲");
  });
  pages();
}

function pages() {
  const last = Math.max(0, Math.ceil(table.shown.length / PER_PAGE) - 1);
  byId("entity-pager").hidden = last === 0;
  const [first, previous, where, next, end] = byId("entity-pager").children;
  where.textContent = `page ${table.page + 1} of ${last + 1}`;
  first.disabled = previous.disabled = table.page === 0;
  next.disabled = end.disabled = table.page === last;
  const go = (to) => () => { table.page = to; show(); };
  [first.onclick, previous.onclick] = [go(0), go(table.page - 1)];
  [next.onclick, end.onclick] = [go(table.page + 1), go(last)];
}

function sortBy(place) {
  const number = isNumber(table.fields[place].kind);
  table.down = table.by === place ? !table.down : number;
  table.by = place;
  select();
}

function startTable() {
  if (!byId("entity-table")) return;
  Object.assign(table, json("entity-data"));
  const heads = columns().map((field, i) => made("th",
    { scope: "col", className: isNumber(field.kind) ? "number" : "" },
    made("button", { type: "button", textContent: field.title, onclick: () => sortBy(i) })));
  byId("entity-table").tHead.append(made("tr", {}, ...heads));
  const place = table.fields.findIndex((f) => f.name === "verdict");
  for (const verdict of new Set(table.rows.map((row) => row[place]))) {
    byId("entity-verdict").append(made("option", { value: verdict, textContent: verdict }));
  }
  byId("entity-pager").append(...["First", "Previous"].map((t) => made("button", { type: "button", textContent: t })),
    made("span"), ...["Next", "Last"].map((t) => made("button", { type: "button", textContent: t })));
  byId("entity-search").addEventListener("input", select);
  byId("entity-verdict").addEventListener("change", select);
  select();
}

startTheme();
startTable();
startFeatures();
startCharts();
startNavigation();
themed();
