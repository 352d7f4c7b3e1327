// The slider through training: one moment of one model, passed on to three charts.

async function buildTraining(box) {
  const { models, order, start: chosen } = data("training-data");
  const control = (name) => box.querySelector(`[name="${name}"]`);
  const views = await Promise.all(["icl", "heads", "paths"].map((name) =>
    chart(`training-${name}-chart`, `training-${name}`, "svg")));

  function show() {
    const { tokens, labels, readings } = models[chosen.model];
    slide(box, control("snapshot"), labels, chosen.snapshot);
    box.querySelector(".interactive-reading").textContent = readings[chosen.snapshot];
    return Promise.all(views.map((view) =>
      view.signal("model", chosen.model).signal("tokens", tokens[chosen.snapshot]).runAsync()));
  }

  control("model").addEventListener("change", (event) => {
    const before = models[chosen.model].tokens[chosen.snapshot];
    chosen.model = event.target.value;
    const { tokens } = models[chosen.model]; // the last snapshot up to the same moment
    chosen.snapshot = Math.max(0, tokens.findLastIndex((count) => count <= before));
    show();
  });
  control("snapshot").addEventListener("input", (event) => {
    chosen.snapshot = Number(event.target.value);
    show();
  });

  fill(control("model"), order, order);
  control("model").value = chosen.model;
  await show();
}

start("training", buildTraining);
