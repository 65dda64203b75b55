const root = document.currentScript.closest(".nearest"), one = s => root.querySelector(s);
const all = s => [...root.querySelectorAll(s)];
const range = one("input"), play = one("[data-play]"), choices = all("[data-choice]");
let chosen = 0, timer = null;
const put = (place, tile, common) => {
  const [source, name] = data.tiles[tile], image = place.querySelector("img");
  image.src = source;
  image.alt = name + data.words[common];
  place.querySelector("span").textContent = data.marks[common] + name;
  place.dataset.common = common;
};
const show = () => {
  const photo = data.shown[chosen], last = +range.value, epoch = String(data.epochs[last]);
  put(one("[data-one]"), photo.tile, 0);
  for (const [row, i] of [["before", 0], ["after", last]])
    all(`[data-${row}] li`).forEach((li, k) => put(li, photo.near[i][k], photo.common[i][k]));
  all("[data-shown]").forEach(place => { place.textContent = epoch; });
  range.setAttribute("aria-valuetext", epoch);
  if (one("[data-told]").textContent !== photo.told[last])
    one("[data-told]").textContent = photo.told[last];
  choices.forEach((button, i) => button.setAttribute("aria-pressed", i === chosen));
};
const stop = () => {
  clearInterval(timer); timer = null;
  play.textContent = "Play";
};
choices.forEach((button, i) => button.addEventListener("click", () => { chosen = i; show(); }));
range.addEventListener("input", () => { stop(); show(); });
// Keys stop at the figure: JupyterLab and the theme listen for them further out.
root.addEventListener("keydown", event => event.stopPropagation());
play.addEventListener("click", () => {
  if (timer) { stop(); return; }
  if (range.value === range.max) { range.value = 0; show(); }
  play.textContent = "Pause";
  timer = setInterval(() => {
    range.value = +range.value + 1; show();
    if (range.value === range.max) stop();
  }, 900);
});
show();
