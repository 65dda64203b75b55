// What is said: the sentence under the map, the class and the image chosen, the colours.
const each = Math.min(...levels[0].size);
const rightOf = k => "Nearest to their own class mean: "
  + `${row(own().right, place())[k]} of ${own().size[k]} images shown.`;
const distance = hundredths => (hundredths / 100).toFixed(2);
const sentence = () => {
  const all = levels.map(one => [one.label, accuracy(one, state.epoch, state.layer)]);
  const known = all.filter(pair => pair[1]);
  const numbers = known.map(([text, r]) => `${text} ${percent(r[2])}`).join(", ");
  const count = known.length ? known[0][1][3].toLocaleString("en") : "";
  const here = [moves.epoch && `Epoch ${state.epoch}`, moves.layer && state.layer].filter(Boolean);
  let said = here.length ? `${here.join(", ")}. ` : "";
  said += `NCC accuracy over ${count} held-out images: ${numbers}.`;
  if (moves.epoch && wanted !== state.epoch) {
    said += ` Epoch ${wanted} was not kept at this layer; this is the nearest epoch that was.`;
  }
  return said;
};
const aboutClass = () => {  // heard by a screen reader; on the screen, the tables say it
  if (state.group < 0) return "";
  const list = nearGroups().map((g, i) =>
    `${own().names[g]} ${distance(row(own().far, place(), state.group)[i])}`);
  return ` ${own().names[state.group]}. ${rightOf(state.group)} `
    + `Nearest class means: ${list.join(", ")}.`;
};
const glyph = rank => {
  const points = shapes[rank % 5].map(([a, b]) => `${8 + 5 * a},${8 + 5 * b}`).join(" ");
  return svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" },
    svg("polygon", { points, fill: colour.ranks[rank % 5] }));
};
const columns = +root.dataset.photographs;
const photograph = (i, side) => {  // out of the sheet in the style; nothing where there is none
  if (!columns || i < 0) return "";
  const span = make("span", { className: "explorer-photograph" });
  span.style.cssText = `width:${side}px;height:${side}px;background-size:${columns * side}px auto;`
    + `background-position:${-(i % columns) * side}px ${-Math.floor(i / columns) * side}px`;
  return span;
};
const which = i => {  // its number in its class; the name of its file is in the tooltip
  const some = inside(levels[0], fine[i]);
  return `${columns ? "photograph" : "image"} ${some.indexOf(i) + 1} of ${some.length}`;
};
const imageName = i => `${levels[0].names[fine[i]]}, ${which(i)}`;
const button = (fields, act, ...children) => {
  const element = make("button", { type: "button", ...fields }, ...children);
  element.addEventListener("click", act);
  return element;
};
const imageButton = (i, ...children) => {  // shows where its image is while pointed at
  const element = button({ title: data.files[i] }, () => pick(0, fine[i], i), ...children);
  element.dataset.point = i;
  return element;
};
const table = (caption, heads, rows) => {
  const cells = (tag, values, more) => make("tr", {}, ...values.map(value =>
    make(tag, more || {}, value)));
  return make("table", {}, make("caption", { textContent: caption }),
    make("thead", {}, cells("th", heads, { scope: "col" })),
    make("tbody", {}, ...rows.map(values => cells("td", values))));
};
const photographs = k => {  // of some of a class's images, to choose one by
  if (!columns) return [];
  const some = members(k).slice(0, 10).map(i => {
    const one = imageButton(i, photograph(i, 44));
    one.setAttribute("aria-label", imageName(i));
    one.setAttribute("aria-pressed", i === state.image);
    return one;
  });
  return [make("div", { className: "explorer-photographs", role: "group",
    ariaLabel: `Images of ${own().names[k]}` }, ...some)];
};
const classTable = k => {
  const far = row(own().far, place(), k);
  return [make("h3", {}, members(k).length ? dot(colour.ink) : "", own().names[k]), ...photographs(k),
    make("p", { textContent: rightOf(k) }),
    table("Nearest class means", ["#", "class", "distance"], nearGroups().map((g, i) => [i + 1,
      button({}, () => pick(state.at, g), glyph(i),
        photograph(members(g)[0] ?? -1, 32), own().names[g]), distance(far[i])]))];
};
const imageTable = i => {
  const distances = row(far, place(), i);
  const second = j => levels[0].parents[fine[j]] || which(j);
  const box = make("div", { className: "explorer-image" }, photograph(i, 72),
    make("span", { title: data.files[i] }, imageName(i)));
  return [box, table("Nearest images", ["#", "class", "distance"],
    [...row(near, place(), i)].map((j, n) => [n + 1, imageButton(j, photograph(j, 40),
      make("span", {}, levels[0].names[fine[j]], make("small", { textContent: second(j) }))),
    distance(distances[n])]))];
};
const tables = () => {
  const out = [];
  if (state.group >= 0) out.push(...classTable(state.group));
  else out.push(make("p", { textContent: "Choose a class in the list, by its colour, or by "
    + "clicking one of its points." }));
  if (state.image >= 0) out.push(...imageTable(state.image));
  if (state.group >= 0) out.push(make("p", { className: "explorer-small", textContent:
    "Distance 1 is the mean over all pairs: of class means, or of the images shown." }));
  const box = one("[data-found]"), held = document.activeElement?.closest?.("[data-found]") === box;
  box.replaceChildren(...out);
  if (held) box.querySelector("[aria-pressed=true],button")?.focus({ preventScroll: true });
};
const dot = (fill, opacity = 1) => {
  const element = make("i");
  Object.assign(element.style, { background: fill, opacity });
  return element;
};
const marks = (shown, k) => {  // of a chip: every way in which points of its class are drawn
  const near = drawnAs(), ways = new Map();
  inside(shown, k).forEach(i => {
    const number = near.get(own().of[i]);
    ways.set(number ?? paint(i), number ?? Infinity);
  });
  return [...ways].sort((a, b) => a[1] - b[1]).map(([way, number]) => number === Infinity
    ? dot(way, strength()) : number ? glyph(number - 1) : dot(colour.ink));
};
const legend = () => {
  const box = one("[data-legend]"), all = level(), at = all.chips, shown = levels[at];
  const chips = shown.names.map((text, k) => {
    const ours = at === state.at && k === state.group;
    const chip = button({}, () => {
      pick(at, ours ? -1 : k);
      box.children[k]?.focus?.({ preventScroll: true });
    }, ...marks(shown, k), text);
    chip.setAttribute("aria-pressed", ours);
    return chip;
  });
  box.replaceChildren(...chips);
  one("[data-note]").textContent = all.note + (shown !== all
    ? ` A point has the colour of its class's group among the ${shown.label}.` : "")
    + (state.group < 0 ? ""
      : " The class chosen and those nearest to it have marks of their own, as in the table.");
};
