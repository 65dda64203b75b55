// The two curves, over epochs and over layers.
const svg = (tag, fields, ...children) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  Object.entries(fields).forEach(([key, value]) => element.setAttribute(key, value));
  element.append(...children);
  return element;
};
const chart = (box, title, ticks, now, value, go) => {
  const wide = 340, high = 210, left = 42, right = 118, top = 26, bottom = 30;
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
  const ends = [], said = [], bold = state.group < 0 ? state.level : state.at;
  levels.forEach((own, l) => {
    const points = ticks.map((_, i) => [i, value(own, i)]).filter(p => p[1] !== undefined);
    if (!points.length) return;
    const stroke = l === bold ? colour.ink : colour.faint;
    const line = points.map(([i, v]) => `${x(i)},${y(v)}`).join(" ");
    picture.append(svg("polyline", { points: line, fill: "none", stroke, "pointer-events": "none",
      "stroke-width": l === bold ? 2.6 : 1.6 }));
    const here = points.find(p => p[0] === now);
    if (!here) return;
    picture.append(svg("circle", { cx: x(now), cy: y(here[1]), r: l === bold ? 5 : 3.6,
      fill: stroke, "pointer-events": "none" }));
    ends.push({ y: y(points[points.length - 1][1]) + 4, text: own.label, strong: l === bold });
    said.push(`${own.label} ${percent(here[1])}`);
  });
  // Names stand beside the ends of their lines, a line apart and not below the axis.
  ends.sort((a, b) => a.y - b.y).forEach((end, i) => {
    if (i) end.y = Math.max(end.y, ends[i - 1].y + 17);
  });
  [...ends].reverse().forEach((end, i) => { end.y = Math.min(end.y, y(0) + 4 - 17 * i); });
  ends.forEach(end => {
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
  if (data.epochs.length > 1) chart(one('[data-chart="epochs"]'),
    `NCC accuracy over epochs, ${state.layer}`,
    data.epochs.map(e => ({ text: e, kept: placeOf(e, state.layer) >= 0 })),
    data.epochs.indexOf(state.epoch),
    (own, i) => accuracy(own, data.epochs[i], state.layer)?.[2],
    i => { halt(); go({ epoch: data.epochs[i] }); });
  if (data.layers.length > 1) chart(one('[data-chart="layers"]'),
    `NCC accuracy over layers${moves.epoch ? `, epoch ${state.epoch}` : ""}`,
    data.layers.map(l => ({ text: l.replace(/^block/, ""), kept: layers.includes(l) })),
    data.layers.indexOf(state.layer),
    (own, i) => accuracy(own, state.epoch, data.layers[i])?.[2],
    i => { halt(); go({ layer: data.layers[i] }); });
};
