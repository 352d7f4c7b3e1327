// The attention explorer: fills its controls from the data and redraws what a choice changes.

async function buildExplorer(box) {
  const { models, order, passages, limit, start: chosen } = data("explorer-data");
  const control = (name) => box.querySelector(`[name="${name}"]`);
  const row = box.querySelector(".passage");
  const attentionOf = {}; // model -> bytes, unpacked when it is first looked at
  const view = await chart("explorer-chart", "explorer-pattern", "canvas");

  const model = () => models[chosen.model];
  const texts = () => passages[chosen.passage].tokens;
  const quoted = (token) => `“${texts()[token]}”`;

  // One head's attention from a token to those before it and itself: whole percent.
  function attention(query) {
    const triangle = (texts().length * (texts().length + 1)) / 2;
    const { heads } = model();
    const block = (chosen.snapshot * passages.length + chosen.passage) * heads.length + chosen.head;
    const from = block * triangle + (query * (query + 1)) / 2;
    return attentionOf[chosen.model].subarray(from, from + query + 1);
  }

  function mostLookedAt(query) {
    return [...attention(query).entries()].filter(([, percent]) => percent >= 5)
      .sort((a, b) => b[1] - a[1]).slice(0, 3);
  }

  function showModel() {
    fill(control("head"), model().labels);
    control("head").value = chosen.head;
    chosen.snapshot = Math.min(chosen.snapshot, model().snapshots.length - 1);
    box.querySelector(".interactive-stretch").textContent =
      `Change of loss: from ${model().stretch}.`;
  }

  function showPassage() {
    row.replaceChildren(...texts().flatMap((text, place) => {
      const token = document.createElement("button");
      token.type = "button";
      token.textContent = text;
      token.setAttribute("role", "radio");
      token.addEventListener("click", () => choose(place));
      return withBreak(token, text);
    }));
  }

  async function showPattern() {
    slide(box, control("snapshot"), model().snapshots, chosen.snapshot);
    while (!attentionOf[chosen.model]) {
      const name = chosen.model; // which may have changed once the bytes are there
      attentionOf[name] = await unpacked(`explorer-${name}`);
    }
    const cells = [];
    texts().forEach((from, query) => attention(query).forEach((percent, key) => {
      if (percent) cells.push({ query, key, percent, from, to: texts()[key] });
    }));
    view.data("pattern", cells);
    await showToken();
  }

  async function showToken() {
    const shares = attention(chosen.token);
    const looked = mostLookedAt(chosen.token);
    const changes = model().changes[chosen.passage];
    const byAttention = box.querySelector('[value="attention"]').checked;
    box.dataset.color = byAttention ? "attention" : "loss";
    row.querySelectorAll("button").forEach((token, place) => {
      const percent = shares[place] ?? 0;
      const tone = byAttention ? "attention" : changes[place] < 0 ? "better" : "worse";
      const share = byAttention ? percent / 100 : Math.min(1, Math.abs(changes[place]) / limit);
      const words = byAttention ? `${percent} % of the attention`
        : place ? `loss ${signed(changes[place])} nats` : "never predicted";
      token.setAttribute("aria-label", `${texts()[place]}, token ${place}, ${words}`);
      token.setAttribute("aria-checked", place === chosen.token);
      token.tabIndex = place === chosen.token ? 0 : -1;
      token.dataset.tone = tone;
      token.style.setProperty("--share", share.toFixed(3));
      token.classList.toggle("key-chosen", place === chosen.token);
      token.classList.toggle("key-next", place === chosen.token + 1);
      token.classList.toggle("key-looked", looked.some(([key]) => key === place));
    });
    box.querySelector(".interactive-reading").textContent = reading(looked, changes);
    await view.signal("token", chosen.token).runAsync();
  }

  function reading(looked, changes) {
    const { token } = chosen;
    const places = looked.map(([key, percent]) => `${quoted(key)} (token ${key}) ${percent} %`);
    const head = `Head ${model().heads[chosen.head]} at token ${token} (${quoted(token)})`;
    const sight = places.length ? `looks most at: ${places.join(", ")}`
      : "spreads its attention: no token gets 5 %";
    const next = token + 1 < texts().length
      ? `Next comes ${quoted(token + 1)}; its loss changed by ${signed(changes[token + 1])} nats.`
      : "It is the last token of the passage.";
    return `${head} ${sight}. ${next}`;
  }

  function choose(token, focus = false) {
    chosen.token = token;
    showToken();
    if (focus) row.querySelectorAll("button")[token].focus();
  }

  const moves = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1,
    Home: -Infinity, End: Infinity };
  row.addEventListener("keydown", (event) => {
    if (!(event.key in moves) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    choose(Math.max(0, Math.min(texts().length - 1, chosen.token + moves[event.key])), true);
  });
  view.addEventListener("click", (event, item) => {
    if (item?.datum?.percent) choose(item.datum.query);
  });
  control("model").addEventListener("change", (event) => {
    chosen.model = event.target.value;
    chosen.head = model().best;
    showModel();
    showPattern();
  });
  control("head").addEventListener("change", (event) => {
    chosen.head = Number(event.target.value);
    showPattern();
  });
  control("snapshot").addEventListener("input", (event) => {
    chosen.snapshot = Number(event.target.value);
    showPattern();
  });
  control("passage").addEventListener("change", (event) => {
    chosen.passage = Number(event.target.value);
    chosen.token = Math.min(chosen.token, texts().length - 1);
    showPassage();
    showPattern();
  });
  box.querySelectorAll('[type="radio"]').forEach((radio) =>
    radio.addEventListener("change", showToken));

  fill(control("model"), order, order);
  control("model").value = chosen.model;
  fill(control("passage"), passages.map((passage) => passage.name));
  control("passage").value = chosen.passage;
  showModel();
  showPassage();
  await showPattern();
}

start("explorer", buildExplorer);
