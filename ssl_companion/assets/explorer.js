((name, data) => {
// In a live notebook the script may run where it has no place of its own: the newest is meant.
const mine = [...document.querySelectorAll(`[data-explorer="${name}"]:not([data-ready])`)];
const root = document.currentScript?.closest(".explorer") || mine.pop();
if (!root) return;
root.dataset.ready = "";
const one = selector => root.querySelector(selector);
const make = (tag, fields = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), fields);
  element.append(...children);
  return element;
};
const clamp = (x, low, high) => Math.max(low, Math.min(high, x));
const percent = x => `${(100 * x).toFixed(1)}%`;
const still = matchMedia("(prefers-reduced-motion: reduce)");

// ---------------------------------------------------------------- data
const unpack = ({ shape, bits, data: text }) => {
  const bytes = Uint8Array.from(atob(text.slice(7)), c => c.charCodeAt(0));
  return { shape, at: bits === 8 ? bytes : new Uint16Array(bytes.buffer) };
};
const row = (packed, ...index) => {  // the last axis at these indices of the axes before it
  const width = packed.shape[packed.shape.length - 1];
  const place = index.reduce((sum, i, axis) => sum * packed.shape[axis] + i, 0);
  return packed.at.subarray(place * width, (place + 1) * width);
};
const fine = unpack(data.fine).at, map = unpack(data.map);
const near = unpack(data.near), far = unpack(data.far), N = fine.length;
const levels = data.levels.map(level => {
  const of = Uint16Array.from(fine, k => level.ofFine[k]);
  const size = new Array(level.names.length).fill(0);
  of.forEach(k => { size[k] += 1; });
  return { ...level, of, size, near: unpack(level.near), far: unpack(level.far),
    right: unpack(level.right) };
});
const kept = layer => data.places.filter(place => place[1] === layer).map(place => place[0]);
const layers = data.layers.filter(layer => kept(layer).length);
const placeOf = (epoch, layer) => data.places.findIndex(p => p[0] === epoch && p[1] === layer);
const accuracy = (level, epoch, layer) => level.ncc.find(r => r[0] === epoch && r[1] === layer);

// ---------------------------------------------------------------- state
const state = { level: levels.findIndex(l => l.name === data.start.level), ...{
  epoch: data.start.epoch, layer: data.start.layer, group: -1, image: -1 } };
let wanted = state.epoch, xy = new Float32Array(2 * N), timer = null, frame = 0, colour = {};
const place = () => placeOf(state.epoch, state.layer);
const level = () => levels[state.level];
const logarithmic = epoch => Math.log1p(epoch);
const nearestEpoch = (epoch, epochs) => epochs.reduce((best, e) =>
  Math.abs(logarithmic(e) - logarithmic(epoch)) < Math.abs(logarithmic(best) - logarithmic(epoch))
    ? e : best);

// ---------------------------------------------------------------- colours
const mix = (hex, shade) => {  // towards black for -1, towards white for 1, half of the way
  const channels = [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16));
  const end = shade < 0 ? 0 : 255, share = Math.abs(shade) * 0.42;
  return `rgb(${channels.map(c => Math.round(c + (end - c) * share)).join(",")})`;
};
const readColours = () => {
  const style = getComputedStyle(root), get = name => style.getPropertyValue(name).trim();
  colour = Object.fromEntries(["ink", "soft", "stage", "line", "faint"].map(k => [k, get(`--${k}`)]));
  colour.hues = [0, 1, 2, 3, 4, 5, 6, 7].map(i => get(`--h${i}`));
  colour.ranks = [0, 1, 2, 3, 4].map(i => get(`--r${i}`));
  levels.forEach(l => { l.paint = l.colours.map(([hue, shade]) => mix(colour.hues[hue], shade)); });
};

// ---------------------------------------------------------------- the map
const canvas = one("[data-map]"), pen = canvas.getContext("2d");
let size = 0;
const X = i => (0.03 + 0.94 * xy[2 * i]) * size, Y = i => (0.97 - 0.94 * xy[2 * i + 1]) * size;
const target = () => {
  const out = new Float32Array(2 * N), from = place() * 2 * N;
  for (let i = 0; i < 2 * N; i += 1) out[i] = map.at[from + i] / 65535;
  return out;
};
const shapes = [  // of the ranks: square, triangle, diamond, triangle down, cross
  [[-1, -1], [1, -1], [1, 1], [-1, 1]],
  [[0, -1.3], [1.2, 0.9], [-1.2, 0.9]],
  [[0, -1.4], [1.2, 0], [0, 1.4], [-1.2, 0]],
  [[0, 1.3], [1.2, -0.9], [-1.2, -0.9]],
  [[-0.4, -1.2], [0.4, -1.2], [0.4, -0.4], [1.2, -0.4], [1.2, 0.4], [0.4, 0.4], [0.4, 1.2],
    [-0.4, 1.2], [-0.4, 0.4], [-1.2, 0.4], [-1.2, -0.4], [-0.4, -0.4]]];
const circle = (x, y, r) => { pen.moveTo(x + r, y); pen.arc(x, y, r, 0, 2 * Math.PI); };
const polygon = (shape, x, y, r) => {
  shape.forEach(([a, b], k) => pen[k ? "lineTo" : "moveTo"](x + a * r, y + b * r));
  pen.closePath();
};
const nearGroups = () => state.group < 0 ? [] : [...row(level().near, place(), state.group)];
const draw = () => {
  const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth;
  if (!width) return;
  if (canvas.width !== Math.round(width * ratio)) {
    canvas.width = canvas.height = Math.round(width * ratio);
  }
  size = width;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, size, size);
  const r = clamp(size / 190, 1.7, 3.1), own = level(), others = nearGroups();
  const chosen = state.group >= 0, batches = own.paint.map(() => []);
  for (let i = 0; i < N; i += 1) batches[own.of[i]].push(i);
  pen.globalAlpha = chosen ? 0.2 : 0.86;
  batches.forEach((batch, k) => {
    if (k === state.group || others.includes(k)) return;
    pen.fillStyle = chosen ? colour.faint : own.paint[k];
    pen.beginPath();
    batch.forEach(i => circle(X(i), Y(i), chosen ? r * 0.85 : r));
    pen.fill();
  });
  if (!chosen) { pen.globalAlpha = 1; return; }
  pen.globalAlpha = 0.9;
  const big = own.names.length > 40 ? 1.45 : own.names.length > 8 ? 1.15 : 0.9;
  [...others.keys()].reverse().forEach(rank => {
    pen.fillStyle = colour.ranks[rank % 5];
    pen.beginPath();
    batches[others[rank]].forEach(i => polygon(shapes[rank % 5], X(i), Y(i), r * big));
    pen.fill();
  });
  pen.globalAlpha = 1;
  pen.fillStyle = colour.ink; pen.strokeStyle = colour.stage; pen.lineWidth = 1.2;
  batches[state.group].forEach(i => {
    pen.beginPath(); circle(X(i), Y(i), r * big * 1.25); pen.fill(); pen.stroke();
  });
  if (state.image >= 0) drawImage(r);
  if (own.names.length > 2) labels(own, others, batches);
};
const drawImage = r => {
  const i = state.image;
  pen.strokeStyle = colour.ink; pen.lineWidth = 1.3;
  row(near, place(), i).forEach(j => {
    pen.beginPath(); pen.moveTo(X(i), Y(i)); pen.lineTo(X(j), Y(j)); pen.stroke();
    pen.fillStyle = colour.stage; pen.beginPath(); circle(X(j), Y(j), r * 1.5); pen.fill(); pen.stroke();
  });
  pen.lineWidth = 2.5; pen.strokeStyle = colour.ranks[0];
  pen.beginPath(); circle(X(i), Y(i), r * 3.2); pen.stroke();
};
const middle = values => [...values].sort((a, b) => a - b)[values.length >> 1];
const labels = (own, others, batches) => {
  const taken = [];
  pen.font = `600 ${size > 420 ? 13 : 11.5}px system-ui, sans-serif`;
  pen.textBaseline = "middle"; pen.lineJoin = "round"; pen.lineWidth = 4;
  [state.group, ...others].forEach((k, rank) => {
    const text = own.names[k], wide = pen.measureText(text).width, batch = batches[k];
    if (!batch.length) return;
    const x = clamp(middle(batch.map(X)) - wide / 2, 6, size - wide - 6);
    let y = clamp(middle(batch.map(Y)) - 14, 12, size - 12);
    const free = at => taken.every(t => Math.abs(t.y - at) > 17 || t.x > x + wide || x > t.x + t.wide);
    for (let step = 0; step < 24 && !free(y); step += 1) {
      y = clamp(y + (step % 2 ? -1 : 1) * 9 * (step + 1), 12, size - 12);
    }
    taken.push({ x, y, wide });
    pen.strokeStyle = colour.stage; pen.strokeText(text, x, y);
    pen.fillStyle = rank ? colour.ranks[(rank - 1) % 5] : colour.ink; pen.fillText(text, x, y);
  });
};
const move = () => {  // points glide to where the shown epoch and layer have them
  cancelAnimationFrame(frame);
  const from = xy, to = target(), begun = performance.now(), span = still.matches ? 0 : 750;
  const step = now => {
    const t = span ? clamp((now - begun) / span, 0, 1) : 1, s = t * t * (3 - 2 * t);
    xy = t === 1 ? to : from.map((value, i) => value + s * (to[i] - value));
    draw();
    if (t < 1) frame = requestAnimationFrame(step);
    else root.dataset.moving = "no";
  };
  root.dataset.moving = "yes";
  if (span) frame = requestAnimationFrame(step); else step(begun);
};

// ---------------------------------------------------------------- the curves
const svg = (tag, fields, ...children) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  Object.entries(fields).forEach(([key, value]) => element.setAttribute(key, value));
  element.append(...children);
  return element;
};
const chart = (box, title, ticks, now, value, go) => {
  const wide = 300, high = 232, left = 34, right = 62, top = 26, bottom = 30;
  const step = (wide - left - right) / Math.max(1, ticks.length - 1);
  const x = i => left + i * step, y = v => high - bottom - v * (high - top - bottom);
  const picture = svg("svg", { viewBox: `0 0 ${wide} ${high}`, role: "img" });
  picture.append(svg("text", { x: 0, y: 12, class: "title" }, title));
  [0, 0.5, 1].forEach(v => picture.append(
    svg("line", { x1: left, x2: wide - right, y1: y(v), y2: y(v), stroke: colour.line }),
    svg("text", { x: left - 6, y: y(v) + 4, "text-anchor": "end" }, `${100 * v}%`)));
  ticks.forEach(({ text, kept: has }, i) => {
    const label = svg("text", { x: x(i), y: high - bottom + 17, "text-anchor": "middle" }, text);
    if (i === now) label.setAttribute("style", `fill:${colour.ink};font-weight:700`);
    picture.append(label);
    if (!has) return;
    const hit = svg("rect", { x: x(i) - step / 2, y: top, width: step || 40, height: high - top,
      fill: "transparent", style: "cursor:pointer" });
    hit.addEventListener("click", () => go(i));
    picture.append(hit);
  });
  const mark = svg("line", { class: "now", x1: 0, x2: 0, y1: top - 4, y2: high - bottom,
    stroke: colour.ink, "stroke-width": 1.5, style: `transform:translateX(${box.at ?? x(now)}px)` });
  picture.append(mark);
  const ends = [], said = [];
  levels.forEach((own, l) => {
    const points = ticks.map((_, i) => [i, value(own, i)]).filter(p => p[1] !== undefined);
    if (!points.length) return;
    const stroke = l === state.level ? colour.ink : colour.faint;
    const line = points.map(([i, v]) => `${x(i)},${y(v)}`).join(" ");
    picture.append(svg("polyline", { points: line, fill: "none", stroke, "pointer-events": "none",
      "stroke-width": l === state.level ? 2.6 : 1.6 }));
    const here = points.find(p => p[0] === now);
    if (!here) return;
    picture.append(svg("circle", { cx: x(now), cy: y(here[1]), r: l === state.level ? 5 : 3.6,
      fill: stroke, "pointer-events": "none" }));
    ends.push({ y: y(points[points.length - 1][1]) + 4, text: own.name, strong: l === state.level });
    said.push(`${own.name} ${percent(here[1])}`);
  });
  ends.sort((a, b) => a.y - b.y).forEach((end, i) => {
    if (i) end.y = Math.max(end.y, ends[i - 1].y + 14);
    const label = svg("text", { x: wide - right + 7, y: end.y }, end.text);
    if (end.strong) label.setAttribute("style", `fill:${colour.ink};font-weight:700`);
    picture.append(label);
  });
  picture.setAttribute("aria-label", `${title}; at ${ticks[now].text}: ${said.join(", ")}.`);
  box.replaceChildren(picture);
  if (box.at !== undefined && box.at !== x(now)) mark.getBoundingClientRect();
  mark.style.transform = `translateX(${x(now)}px)`;
  box.at = x(now);
};
const charts = () => {
  chart(one('[data-chart="epochs"]'), `NCC accuracy over epochs, ${state.layer}`,
    data.epochs.map(e => ({ text: e, kept: placeOf(e, state.layer) >= 0 })),
    data.epochs.indexOf(state.epoch),
    (own, i) => accuracy(own, data.epochs[i], state.layer)?.[2],
    i => { halt(); go({ epoch: data.epochs[i] }); });
  chart(one('[data-chart="layers"]'), `NCC accuracy over layers, epoch ${state.epoch}`,
    data.layers.map(l => ({ text: l.replace(/^block/, ""), kept: layers.includes(l) })),
    data.layers.indexOf(state.layer),
    (own, i) => accuracy(own, state.epoch, data.layers[i])?.[2],
    i => { halt(); go({ layer: data.layers[i] }); });
};

// ---------------------------------------------------------------- words
const each = Math.min(...levels[0].size);
const sentence = () => {
  const all = levels.map(own => [own.name, accuracy(own, state.epoch, state.layer)]);
  const known = all.filter(pair => pair[1]);
  const numbers = known.map(([text, r]) => `${text} ${percent(r[2])}`).join(", ");
  const count = known.length ? known[0][1][3].toLocaleString("en") : "";
  let said = `Epoch ${state.epoch}, ${state.layer}. NCC accuracy over ${count} held-out images: ${numbers}.`;
  if (wanted !== state.epoch) {
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
    const distances = row(far, place(), state.image), above = levels[1] || levels[0];
    out.push(table(`Images nearest to ${data.files[state.image]}`, ["", "class", above.name, "distance"],
      [...row(near, place(), state.image)].map((j, i) => [i + 1, levels[0].names[fine[j]],
        above.names[above.of[j]], (distances[i] / 100).toFixed(2)])));
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

// ---------------------------------------------------------------- controls
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
  ranges.layer.disabled = layers.length < 2;
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
root.addEventListener("keydown", event => {
  event.stopPropagation();  // JupyterLab and the theme listen for arrow keys further out
  if (event.key === "Escape" && state.group >= 0) pick(-1, -1);
});

// ---------------------------------------------------------------- the pointer
const under = event => {
  const box = canvas.getBoundingClientRect();
  const x = event.clientX - box.left, y = event.clientY - box.top;
  let best = -1, least = 14 ** 2;
  for (let i = 0; i < N; i += 1) {
    const square = (X(i) - x) ** 2 + (Y(i) - y) ** 2;
    if (square < least) { least = square; best = i; }
  }
  return { i: best, x, y };
};
const tip = one("[data-tip]");
canvas.addEventListener("pointermove", event => {
  const { i, x, y } = under(event);
  tip.hidden = i < 0 || event.pointerType === "touch";
  if (tip.hidden) return;
  const own = level(), text = levels[0].names[fine[i]];
  tip.textContent = own === levels[0] ? text : `${text} · ${own.names[own.of[i]]}`;
  tip.style.left = `${clamp(x + 12, 0, size - tip.offsetWidth - 4)}px`;
  tip.style.top = `${clamp(y - 30, 2, size)}px`;
});
canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
canvas.addEventListener("click", event => {
  const { i } = under(event);
  if (i < 0) pick(-1, -1); else pick(level().of[i], i);
});

// ---------------------------------------------------------------- begin
const dress = () => { readColours(); show(); draw(); };
readColours(); fillClasses(); fillImages();
xy = target();
show(); draw();
new ResizeObserver(draw).observe(canvas);
const themes = new MutationObserver(dress);
[document.documentElement, document.body].forEach(element => themes.observe(element,
  { attributes: true, attributeFilter: ["data-theme", "data-jp-theme-light", "theme"] }));
root.dataset.moving = "no";
})
