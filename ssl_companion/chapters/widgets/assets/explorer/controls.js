// Everything that can be set, and what follows from it.
const ranges = { epoch: one("[data-epoch]"), layer: one("[data-layer]") };
const images = one("[data-image]"), clear = one("[data-clear]");
const option = (value, text, title = "") => make("option", { value, textContent: text, title });
const fillImages = () => {
  const some = state.group < 0 ? [] : members(state.group);
  images.replaceChildren(option(-1, some.length ? "none" : "no class chosen"),
    ...some.map(i => option(i, imageName(i), data.files[i])));
  images.disabled = !some.length;
};
const show = () => {  // everything but the points, which move
  const epochs = kept(state.layer);
  ranges.epoch.max = epochs.length - 1; ranges.epoch.value = epochs.indexOf(state.epoch);
  ranges.layer.max = layers.length - 1; ranges.layer.value = layers.indexOf(state.layer);
  ranges.epoch.setAttribute("aria-valuetext", `epoch ${state.epoch}`);
  ranges.layer.setAttribute("aria-valuetext", state.layer);
  one("[data-epoch-shown]").textContent = state.epoch;
  one("[data-layer-shown]").textContent = state.layer;
  images.value = state.image; clear.disabled = state.group < 0;
  named();
  charts(); tables(); legend();
  const said = sentence(), status = one("[data-status]");
  status.setAttribute("aria-live", timer ? "off" : "polite");
  status.replaceChildren(said, make("span", { className: "explorer-heard",
    textContent: aboutClass() }));
  canvas.setAttribute("aria-label", `Map of ${N} images, ${each} of each of `
    + `${levels[0].names.length} classes, coloured by ${level().label}. ${said}${aboutClass()}`);
};
const go = ({ epoch, layer }) => {
  if (layer !== undefined) state.layer = layer;
  if (epoch !== undefined) wanted = epoch;
  state.epoch = nearestEpoch(wanted, kept(state.layer));
  if (epoch !== undefined) wanted = state.epoch;
  show(); move();
};
const pick = (at, group, image = -1) => {
  Object.assign(state, { at, group, image });
  pointed = -1; tip.hidden = true; spots = arrange(xy);
  fillImages(); show(); draw();
};
const letGo = () => pick(state.at, -1);
const setLevel = index => {
  state.level = index;
  show(); draw();
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
    make("span", { textContent: own.label })));
});
ranges.epoch.addEventListener("input", () => {
  halt(); go({ epoch: kept(state.layer)[+ranges.epoch.value] });
});
ranges.layer.addEventListener("input", () => { halt(); go({ layer: layers[+ranges.layer.value] }); });
images.addEventListener("change", () => pick(state.at, state.group, +images.value));
clear.addEventListener("click", () => { letGo(); search.focus(); });
one("[data-play]").addEventListener("click", play);
// A slider with one place to be, and a curve of one point, would only be in the way.
one("[data-levels]").hidden = one("[data-note]").hidden = levels.length < 2;
one("[data-play]").hidden = ranges.epoch.parentElement.hidden = !moves.epoch;
ranges.layer.parentElement.hidden = !moves.layer;
one('[data-chart="epochs"]').hidden = data.epochs.length < 2;
one('[data-chart="layers"]').hidden = data.layers.length < 2;
one(".explorer-charts").hidden = data.epochs.length < 2 && data.layers.length < 2;
root.addEventListener("keydown", event => {
  event.stopPropagation();  // JupyterLab and the theme listen for arrow keys further out
  if (event.key === "Escape" && state.group >= 0) letGo();
});
