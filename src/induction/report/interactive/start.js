// What the parts of the page share: they show themselves once they work, or say that they do not.

const data = (id) => JSON.parse(document.getElementById(id).textContent);

// Fetches bytes that were compressed and written as base64.
async function unpacked(id) {
  const text = document.getElementById(id).textContent;
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Draws a chart and gives back its view, whose signals and data the controls then set.
async function chart(id, specification, renderer) {
  const place = document.getElementById(id);
  const { view } = await vegaEmbed(place, data(specification), {
    actions: false, mode: "vega-lite", renderer });
  return view;
}

function fill(select, labels, values = labels.keys()) {
  select.replaceChildren(...labels.map((label) => new Option(label)));
  [...values].forEach((value, place) => { select.options[place].value = value; });
}

// A token of a passage, and the end of its line where it breaks one.
function withBreak(token, text) {
  const lineEnd = document.createElement("span");
  lineEnd.className = "passage-break";
  return text.includes("⏎") ? [token, lineEnd] : [token];
}

// Sets a slider with its output and, for screen readers, its value in words.
function slide(box, range, labels, place) {
  range.max = labels.length - 1;
  range.value = place;
  box.querySelector("output").textContent = labels[place];
  range.setAttribute("aria-valuetext", `${labels[place]} tokens`);
}

const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;

// Shows a part of the page and starts it; charts need to be on show to know their width.
async function start(id, build) {
  const box = document.getElementById(id);
  if (!box) return;
  box.hidden = false;
  try {
    await build(box);
    box.dataset.ready = "";
  } catch (error) {
    const problem = document.createElement("p");
    problem.className = "interactive-problem";
    problem.textContent = `This part of the page does not work in this browser (${error.message}).` +
      " The figures of the report show the same.";
    box.replaceChildren(problem);
  }
}
