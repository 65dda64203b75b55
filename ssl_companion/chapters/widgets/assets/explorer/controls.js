// Everything that can be set, and what follows from it.
const ranges = { epoch: one("[data-epoch]"), layer: one("[data-layer]") };
const classes = one("[data-class]"), images = one("[data-image]"), clear = one("[data-clear]");
const option = (value, text) => make("option", { value, textContent: text });
const fillClasses = () => {
  const own = level(), above = levels[state.level + 1];
  const order = own.names.map((_, k) => k);
  const options = ks => ks.map(k => option(k, own.names[k]));
  if (!above || own.names.length < 10) classes.replaceChildren(option(-1, "all"), ...options(order));
  else {
    const up = {};
    own.ofFine.forEach((k, f) => { up[k] = above.ofFine[f]; });
    classes.replaceChildren(option(-1, "all"), ...above.names.map((text, g) =>
      make("optgroup", { label: text }, ...options(order.filter(k => up[k] === g)))));
  }
};
const fillImages = () => {
  const members = [...fine.keys()].filter(i => state.group >= 0 && level().of[i] === state.group);
  images.replaceChildren(option(-1, members.length ? "none" : "choose a class first"),
    ...members.map(i => option(i, data.files[i])));
  images.disabled = !members.length;
};
const show = () => {  // everything but the points, which move
  const epochs = kept(state.layer);
  ranges.epoch.max = epochs.length - 1; ranges.epoch.value = epochs.indexOf(state.epoch);
  ranges.layer.max = layers.length - 1; ranges.layer.value = layers.indexOf(state.layer);
  ranges.epoch.setAttribute("aria-valuetext", `epoch ${state.epoch}`);
  ranges.layer.setAttribute("aria-valuetext", state.layer);
  one("[data-epoch-shown]").textContent = state.epoch;
  one("[data-layer-shown]").textContent = state.layer;
  classes.value = state.group; images.value = state.image; clear.disabled = state.group < 0;
  charts(); tables(); legend();
  const said = sentence(), status = one("[data-status]");
  status.setAttribute("aria-live", timer ? "off" : "polite");
  status.textContent = said;
  canvas.setAttribute("aria-label", `Map of ${N} images, ${each} of each of `
    + `${levels[0].names.length} classes, coloured by ${level().name}. ${said}`);
};
const go = ({ epoch, layer }) => {
  if (layer !== undefined) state.layer = layer;
  if (epoch !== undefined) wanted = epoch;
  state.epoch = nearestEpoch(wanted, kept(state.layer));
  if (epoch !== undefined) wanted = state.epoch;
  show(); move();
};
const pick = (group, image) => {
  Object.assign(state, { group, image });
  fillImages(); show(); draw();
};
const setLevel = (index, group) => {
  const before = level(), member = before.ofFine.indexOf(state.group);
  const up = index > state.level && state.group >= 0 ? levels[index].ofFine[member] : -1;
  state.level = index; state.image = -1; state.group = group ?? up;
  root.querySelectorAll("[data-levels] input").forEach((input, i) => { input.checked = i === index; });
  fillClasses(); fillImages(); show(); draw();
};
const halt = () => {
  if (!timer) return;
  clearInterval(timer); timer = null;
  one("[data-play]").textContent = "Play";
  show();
};
const play = () => {
  if (timer) { halt(); return; }
  const epochs = kept(state.layer);
  if (state.epoch === epochs[epochs.length - 1]) go({ epoch: epochs[0] });
  one("[data-play]").textContent = "Pause";
  timer = setInterval(() => {
    const next = kept(state.layer), i = next.indexOf(state.epoch) + 1;
    if (i < next.length) go({ epoch: next[i] });
    if (i >= next.length - 1) halt();
  }, 1100);
};
levels.forEach((own, index) => {
  const input = make("input", { type: "radio", name: `level-${name}`, value: own.name,
    checked: index === state.level });
  input.autocomplete = "off";
  input.addEventListener("change", () => setLevel(index));
  one("[data-levels]").append(make("label", {}, input,
    make("span", { textContent: `${own.name} (${own.names.length})` })));
});
ranges.epoch.addEventListener("input", () => {
  halt(); go({ epoch: kept(state.layer)[+ranges.epoch.value] });
});
ranges.layer.addEventListener("input", () => { halt(); go({ layer: layers[+ranges.layer.value] }); });
classes.addEventListener("change", () => pick(+classes.value, -1));
images.addEventListener("change", () => pick(state.group, +images.value));
clear.addEventListener("click", () => { pick(-1, -1); classes.focus(); });
one("[data-play]").addEventListener("click", play);
// A slider with one place to be, and a curve of one point, would only be in the way.
one("[data-levels]").hidden = levels.length < 2;
one("[data-play]").hidden = ranges.epoch.parentElement.hidden = !moves.epoch;
ranges.layer.parentElement.hidden = !moves.layer;
one('[data-chart="epochs"]').hidden = data.epochs.length < 2;
one('[data-chart="layers"]').hidden = data.layers.length < 2;
one(".explorer-charts").hidden = data.epochs.length < 2 && data.layers.length < 2;
root.addEventListener("keydown", event => {
  event.stopPropagation();  // JupyterLab and the theme listen for arrow keys further out
  if (event.key === "Escape" && state.group >= 0) pick(-1, -1);
});
