// The prompts of the abstract tasks: one at a time, shaded by the attention of one head.

async function buildPrompts(box) {
  const { prompts, start: first } = data("prompts-data");
  const control = box.querySelector("select");
  const row = box.querySelector(".passage");
  const percent = (share) => `${(100 * share).toFixed(1)} %`;

  function show({ head, answer, texts, attention, places, sums }) {
    const most = Math.max(0.01, ...attention.slice(1));
    row.replaceChildren(...texts.flatMap((text, place) => {
      const token = document.createElement("span");
      token.className = ["passage-token", places[place] && `key-${places[place]}`].join(" ");
      token.textContent = text;
      token.title = `${percent(attention[place])} of the attention`;
      token.style.setProperty("--share", Math.min(1, attention[place] / most).toFixed(3));
      return withBreak(token, text);
    }));
    box.querySelector(".interactive-reading").textContent =
      `Head ${head}, asked for “${answer}”: ${percent(sums[0])} of its attention goes to right ` +
      `places, ${percent(sums[1])} to wrong ones, ${percent(attention[0])} to the first token.`;
  }

  fill(control, prompts.map((prompt) => prompt.name));
  control.value = first;
  control.addEventListener("change", () => show(prompts[Number(control.value)]));
  show(prompts[first]);
}

start("prompts", buildPrompts);
