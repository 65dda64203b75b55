// The map: points, the class and the image chosen, their names, the glide between places.
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
  const r = clamp(size / 190, 1.7, 3.1) * clamp(Math.sqrt(1000 / N), 1, 1.6), own = level(), others = nearGroups();
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
