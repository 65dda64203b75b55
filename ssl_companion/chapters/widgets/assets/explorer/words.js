// What is said: the sentence under the map, the tables of neighbours, the legend.
const each = Math.min(...levels[0].size);
const sentence = () => {
  const all = levels.map(own => [own.name, accuracy(own, state.epoch, state.layer)]);
  const known = all.filter(pair => pair[1]);
  const numbers = known.map(([text, r]) => `${text} ${percent(r[2])}`).join(", ");
  const count = known.length ? known[0][1][3].toLocaleString("en") : "";
  const here = [moves.epoch && `Epoch ${state.epoch}`, moves.layer && state.layer].filter(Boolean);
  let said = here.length ? `${here.join(", ")}. ` : "";
  said += `NCC accuracy over ${count} held-out images: ${numbers}.`;
  if (moves.epoch && wanted !== state.epoch) {
    said += ` Epoch ${wanted} was not kept at this layer: this is the nearest one that was.`;
  }
  if (state.group >= 0) {
    const own = level(), k = state.group, right = row(own.right, place())[k];
    const list = nearGroups().map((g, i) =>
      `${own.names[g]} ${(row(own.far, place(), k)[i] / 100).toFixed(2)}`);
    said += ` ${own.names[k]}: ${right} of ${own.size[k]} images shown lie nearest to their own `
      + `class mean (${percent(right / own.size[k])}). Nearest class means: ${list.join(", ")}.`;
  }
  return said;
};
const glyph = rank => {
  const points = shapes[rank % 5].map(([a, b]) => `${8 + 5 * a},${8 + 5 * b}`).join(" ");
  return svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" },
    svg("polygon", { points, fill: colour.ranks[rank % 5] }));
};
const table = (caption, heads, rows) => {
  const cells = (tag, values, more) => make("tr", {}, ...values.map(value =>
    make(tag, more || {}, ...(Array.isArray(value) ? value : [String(value)]))));
  return make("table", {}, make("caption", { textContent: caption }),
    make("thead", {}, cells("th", heads, { scope: "col" })),
    make("tbody", {}, ...rows.map(values => cells("td", values))));
};
const tables = () => {
  const out = [], own = level(), k = state.group;
  if (k >= 0) {
    const distances = row(own.far, place(), k);
    out.push(table(`Class means nearest to ${own.names[k]}`, ["", "class", "distance"],
      nearGroups().map((g, i) => [i + 1, [glyph(i), own.names[g]], (distances[i] / 100).toFixed(2)])));
  }
  if (state.image >= 0) {
    const distances = row(far, place(), state.image), above = levels[1];
    const more = j => above ? above.names[above.of[j]] : data.files[j];
    out.push(table(`Images nearest to ${data.files[state.image]}`,
      ["", "class", above ? above.name : "image", "distance"],
      [...row(near, place(), state.image)].map((j, i) =>
        [i + 1, levels[0].names[fine[j]], more(j), (distances[i] / 100).toFixed(2)])));
  }
  if (out.length) {
    const note = make("p", { textContent: "A distance of 1 is the mean over all pairs: of class "
      + "means at this level, and of the images shown." });
    note.style.cssText = "grid-column:1/-1;margin:.5rem 0 0;color:var(--soft);font-size:.85rem";
    out.push(note);
  }
  one("[data-found]").replaceChildren(...out);
};
const legend = () => {
  const box = one("[data-legend]"), own = level();
  const many = own.names.length > 24, shown = many ? levels[1] || own : own;
  const chips = shown.names.map((text, k) => {
    const dot = make("i");
    dot.style.background = shown.paint[k];
    const chip = make("button", { type: "button" }, dot, text);
    const ours = !many && k === state.group;
    if (many) chip.title = `Choose ${text} at the level ${shown.name}`;
    chip.setAttribute("aria-pressed", ours);
    chip.addEventListener("click", () => {
      if (many) setLevel(levels.indexOf(shown), k);
      else pick(ours ? -1 : k, -1);
      one("[data-legend]").children[k]?.focus?.();
    });
    return chip;
  });
  box.replaceChildren(...chips);
  if (many) {
    box.append(make("p", { textContent: `${own.names.length} colours cannot be told apart: points `
      + `have the colour of their ${shown.name} group. Choose a class to see it alone.` }));
  }
};
