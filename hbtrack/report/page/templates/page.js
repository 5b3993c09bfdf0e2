"use strict";
// The page can be read without this: it sorts and filters the table of configs, writes times in
// the reader's zone, copies commands, and lets the arrow keys walk along the threads of the flow.

const key = (cell) =>
  cell.className === "n" ? Number(cell.dataset.sort ?? cell.textContent) : cell.textContent;

function compare(one, other) {
  if (one === "" || other === "") return (one === "") - (other === "");
  if (typeof one === "number" && typeof other === "number") return one - other;
  return String(one).localeCompare(String(other), undefined, { numeric: true });
}

function sort(table, column, heading) {
  const descending = heading.getAttribute("aria-sort") === "ascending";
  const body = table.tBodies[0];
  const rows = Array.from(body.rows, (row) => [key(row.cells[column]), row]);
  const empty = (value) => value === "";
  rows.sort(([one], [other]) =>
    empty(one) || empty(other) || !descending ? compare(one, other) : compare(other, one));
  body.append(...rows.map(([, row]) => row));
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
}

// A row is kept if it has every word: `name<0.01`, `name=value` of a column, #3, or any text.
function wanted(word, names) {
  const [, name, sign, value] = /^(.+?)(<=|>=|<|>|=)(.+)$/.exec(word) || [];
  const column = sign ? names.indexOf(name) : -1;
  if (column < 0) {
    return word.startsWith("#")
      ? (row) => Array.from(row.cells).some((cell) => cell.textContent === word)
      : (row) => row.textContent.toLowerCase().includes(word);
  }
  const to = Number(value);
  const holds = {
    "<": (x) => x < to, ">": (x) => x > to, "<=": (x) => x <= to, ">=": (x) => x >= to,
    "=": (x, text) => (Number.isNaN(to) ? text === value : x === to),
  }[sign];
  return ({ cells: { [column]: cell } }) => {
    const text = cell.textContent.toLowerCase();
    const number = key(cell);
    return text !== "" && holds(typeof number === "number" ? number : NaN, text);
  };
}

function filter(table, typed, told) {
  const names = Array.from(table.tHead.rows[0].cells, (cell) => cell.textContent.toLowerCase());
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean).map((word) => wanted(word, names));
  const rows = Array.from(table.tBodies[0].rows);
  for (const row of rows) row.hidden = !words.every((word) => word(row));
  const left = rows.filter((row) => !row.hidden).length;
  told.textContent = words.length ? `${left} of ${rows.length} rows` : "";
}

for (const table of document.querySelectorAll(".sortable table")) {
  const box = document.createElement("div");
  const input = document.createElement("input");
  const told = document.createElement("span");
  box.className = "filter";
  input.type = "search";
  input.placeholder = "Filter: words, #3, loss<0.5, epochs=27";
  input.setAttribute("aria-label", "Filter the rows");
  told.className = "note";
  told.setAttribute("aria-live", "polite");
  input.addEventListener("input", () => filter(table, input.value, told));
  box.append(input, told);
  table.parentElement.before(box);
  Array.from(table.tHead.rows[0].cells).forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    button.addEventListener("click", () => sort(table, column, heading));
  });
  table.tHead.rows[0].cells[0].setAttribute("aria-sort", "ascending");
}

// Times are written in UTC; here they become the reader's own, with the zone beside them.
const zone = new Intl.DateTimeFormat("en", {
  year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit",
  second: "2-digit", hourCycle: "h23", timeZoneName: "short",
});

function local(utc) {
  const moment = new Date(utc.replace(" UTC", "Z").replace(" ", "T"));
  const part = Object.fromEntries(zone.formatToParts(moment).map((one) => [one.type, one.value]));
  const time = document.createElement("time");
  time.dateTime = moment.toISOString();
  time.title = utc;
  time.textContent = `${part.year}-${part.month}-${part.day} ` +
    `${part.hour}:${part.minute}:${part.second} ${part.timeZoneName}`;
  return time;
}

const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const timed = [];
while (texts.nextNode()) {
  const inside = texts.currentNode.parentElement;
  if (/\d{2} UTC/.test(texts.currentNode.data) && !inside.closest("pre, script, svg")) {
    timed.push(texts.currentNode);
  }
}
for (const text of timed) {
  const parts = text.data.split(/(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC)/);
  text.replaceWith(...parts.map((part, at) => (at % 2 ? local(part) : part)));
}

for (const button of document.querySelectorAll("button.copy")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
  });
}

const threads = Array.from(document.querySelectorAll("#flow .thread"))
  .filter((thread) => thread.querySelector("title"));
const readout = document.querySelector(".readout");
if (threads.length && readout) {
  readout.hidden = false;
  readout.textContent = "Point at a line, or walk along the lines with Tab and the arrow keys.";
  const tell = (thread) => { readout.textContent = thread.querySelector("title").textContent; };
  threads[0].ownerSVGElement.setAttribute("role", "group");  // else its threads are not spoken of
  threads.forEach((thread, at) => {
    thread.setAttribute("role", "img");
    thread.setAttribute("tabindex", at === threads.length - 1 ? "0" : "-1");
    thread.addEventListener("pointerenter", () => tell(thread));
    thread.addEventListener("focus", () => tell(thread));
    thread.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const next = threads[(at + step + threads.length) % threads.length];
      thread.setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus();
    });
  });
}
