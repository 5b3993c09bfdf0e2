"use strict";
// The page can be read without this: it sorts the ranked table, copies commands, and lets the
// arrow keys walk along the threads of the bracket flow.

const key = (cell) =>
  cell.dataset.sort === undefined ? cell.textContent : Number(cell.dataset.sort);

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

for (const table of document.querySelectorAll(".sortable table")) {
  Array.from(table.tHead.rows[0].cells).forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    button.addEventListener("click", () => sort(table, column, heading));
  });
  table.tHead.rows[0].cells[0].setAttribute("aria-sort", "ascending");
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
