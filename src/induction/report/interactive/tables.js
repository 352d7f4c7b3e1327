// Tables that can be sorted, by headers that become buttons, and that scroll sideways on a narrow
// screen. The page is whole without either.

// The first number of a cell with its unit, or undefined: 2.78M, −0.38, 1,024, 103 %.
function cellNumber(text) {
  const found = /^[^\w−+-]*([−+-]?\d[\d,]*(?:\.\d+)?)\s*([kMB](?![\w]))?/.exec(text);
  if (!found) return undefined;
  const units = { k: 1e3, M: 1e6, B: 1e9 };
  return Number(found[1].replace("−", "-").replaceAll(",", "")) * (units[found[2]] ?? 1);
}

// What each row is sorted by: numbers where all cells of the column have one, else text. A dash or
// nothing means that there is no value, and stays below.
function sortKeys(rows, column) {
  const cells = rows.map((row) => row.cells[column].textContent.trim());
  const missing = (text) => text === "" || text === "–" || text === "-";
  const numbers = cells.map(cellNumber);
  const numeric = cells.every((text, place) => missing(text) || numbers[place] !== undefined);
  return cells.map((text, place) => (missing(text) ? null : numeric ? numbers[place] : text));
}

function compare(a, b, direction) {
  if (a === null || b === null) return (a === null) - (b === null);
  const order = typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
  return direction * order;
}

function makeSortable(table) {
  const headers = [...(table.tHead?.rows[0]?.cells ?? [])];
  const body = table.tBodies[0];
  const rows = [...(body?.rows ?? [])];
  const regular = rows.every((row) => row.cells.length === headers.length) &&
    table.tHead?.rows.length === 1 && table.tBodies.length === 1;
  if (rows.length < 3 || !regular || table.querySelector("[colspan], [rowspan]")) return;
  headers.forEach((header, column) => {
    if (!header.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...header.childNodes);
    header.replaceChildren(button);
    button.addEventListener("click", () => {
      const direction = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      headers.forEach((other) => other.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      const keys = sortKeys(rows, column);
      const places = [...rows.keys()].sort((a, b) => compare(keys[a], keys[b], direction));
      body.append(...places.map((place) => rows[place]));
    });
  });
}

// On a narrow screen a table scrolls by itself; Quarto wraps those alone that have a number.
function makeScrollable(table) {
  if (table.closest(".table-scroll, figure.quarto-float-tbl")) return;
  const wrapper = document.createElement("div");
  wrapper.className = "table-scroll";
  table.replaceWith(wrapper);
  wrapper.append(table);
}

function improveTables() {
  for (const table of document.querySelectorAll("main table")) {
    makeSortable(table);
    makeScrollable(table);
  }
}
if (document.readyState === "loading") {
  document.addEventListener("DOMContentLoaded", improveTables);
} else {
  improveTables();
}
