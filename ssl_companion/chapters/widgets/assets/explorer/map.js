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
const nearGroups = () => state.group < 0 ? [] : [...row(own().near, place(), state.group)];
const inside = (level, k) => [...fine.keys()].filter(i => level.of[i] === k);
const members = k => inside(own(), k);
// How points are drawn, and the legend's chips like them: those of the class chosen, number 0 of
// `drawnAs`, in ink; those of the classes nearest to it, 1 on, by their ranks; all others in the
// colour of their class, faint beside these.
const drawnAs = () => new Map(
  (state.group < 0 ? [] : [state.group, ...nearGroups()]).map((k, number) => [k, number]));
const paint = i => level().paint[level().of[i]];
const strength = () => state.group < 0 ? 0.86 : 0.34;
const radius = () => clamp(size / 190, 1.7, 3.1) * clamp(Math.sqrt(1000 / N), 1, 1.6);
const draw = () => {
  const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth;
  if (!width) return;
  if (canvas.width !== Math.round(width * ratio)) {
    canvas.width = canvas.height = Math.round(width * ratio);
  }
  if (size !== width) { size = width; spots = arrange(xy); }
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, size, size);
  const r = radius(), shown = level(), chosen = state.group >= 0;
  const near = drawnAs(), batches = shown.paint.map(() => []);
  for (let i = 0; i < N; i += 1) {
    if (!near.has(own().of[i])) batches[shown.of[i]].push(i);
  }
  pen.globalAlpha = strength();
  batches.forEach((batch, k) => {
    pen.fillStyle = shown.paint[k];
    pen.beginPath();
    batch.forEach(i => circle(X(i), Y(i), chosen ? r * 0.85 : r));
    pen.fill();
  });
  pen.globalAlpha = 1;
  if (chosen) drawClass(r);
  if (state.image >= 0) drawImage(r);
  if (chosen && own().names.length > 2) labels();
  if (pointed >= 0) {
    pen.lineWidth = 2; pen.strokeStyle = colour.ink;
    pen.beginPath(); circle(X(pointed), Y(pointed), r * 2.6); pen.stroke();
  }
};
const drawClass = r => {
  const many = own().names.length, big = many > 40 ? 1.45 : many > 8 ? 1.15 : 0.9;
  [...nearGroups().entries()].reverse().forEach(([rank, k]) => {
    pen.fillStyle = colour.ranks[rank % 5];
    pen.beginPath();
    members(k).forEach(i => polygon(shapes[rank % 5], X(i), Y(i), r * big));
    pen.fill();
  });
  pen.fillStyle = colour.ink; pen.strokeStyle = colour.stage; pen.lineWidth = 1.2;
  members(state.group).forEach(i => {
    pen.beginPath(); circle(X(i), Y(i), r * big * 1.25); pen.fill(); pen.stroke();
  });
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
// The names of the class chosen and of those nearest to it: each near the middle of its points,
// where it covers fewest of the marks and no other name.
let spots = {};
const font = () => `600 ${size > 420 ? 13 : 11.5}px system-ui, sans-serif`;
const middle = values => [...values].sort((a, b) => a - b)[values.length >> 1];
const arrange = coordinates => {
  const found = {}, named = state.group < 0 ? [] : [state.group, ...nearGroups()];
  if (!size || own().names.length <= 2) return found;
  const at = i => [(0.03 + 0.94 * coordinates[2 * i]) * size,
    (0.97 - 0.94 * coordinates[2 * i + 1]) * size];
  const marks = new Map(named.map(k => [k, members(k).map(at)]));
  const lines = state.image < 0 ? [] : [state.image, ...row(near, place(), state.image)].map(at);
  const all = [...marks.values(), lines].flat();
  const taken = [], r = radius() * 2;
  pen.font = font();
  named.filter(k => marks.get(k).length).forEach(k => {
    const half = pen.measureText(own().names[k]).width / 2 + 3, points = marks.get(k);
    const x0 = middle(points.map(p => p[0])), y0 = middle(points.map(p => p[1]));
    let least = Infinity;
    for (let ring = 1; ring < 14; ring += 1) {
      for (let turn = 0; turn < 16; turn += 1) {
        const angle = (turn / 8 - 0.5) * Math.PI;
        const x = clamp(x0 + Math.cos(angle) * ring * 16, half + 2, size - half - 2);
        const y = clamp(y0 + Math.sin(angle) * ring * 12, 11, size - 11);
        const covered = all.filter(p => Math.abs(p[0] - x) < half + r && Math.abs(p[1] - y) < 8 + r);
        const clash = taken.some(t => Math.abs(t.y - y) < 18 && Math.abs(t.x - x) < half + t.half);
        const cost = ring + 3 * covered.length + (clash ? 1000 : 0);
        if (cost < least) { least = cost; found[k] = [x / size, y / size, x0 / size, y0 / size]; }
      }
    }
    taken.push({ x: found[k][0] * size, y: found[k][1] * size, half });
  });
  return found;
};
const labels = () => {
  pen.font = font(); pen.textBaseline = "middle"; pen.textAlign = "center"; pen.lineJoin = "round";
  [state.group, ...nearGroups()].forEach((k, rank) => {
    if (!spots[k]) return;
    const [x, y, x0, y0] = spots[k].map(share => share * size);
    pen.strokeStyle = pen.fillStyle = rank ? colour.ranks[(rank - 1) % 5] : colour.ink;
    if (Math.hypot(x - x0, y - y0) > 40) {  // a name further off is tied to its points
      pen.lineWidth = 1; pen.globalAlpha = 0.7;
      pen.beginPath(); pen.moveTo(x, y); pen.lineTo(x0, y0); pen.stroke();
      pen.globalAlpha = 1;
    }
    pen.strokeStyle = colour.stage; pen.lineWidth = 4;
    pen.strokeText(own().names[k], x, y); pen.fillText(own().names[k], x, y);
  });
};
const move = () => {  // points glide to where the shown epoch and layer have them
  cancelAnimationFrame(frame);
  const from = xy, to = target(), begun = performance.now(), span = still.matches ? 0 : 750;
  const before = spots, after = arrange(to);
  const step = now => {
    const t = span ? clamp((now - begun) / span, 0, 1) : 1, s = t * t * (3 - 2 * t);
    xy = t === 1 ? to : from.map((value, i) => value + s * (to[i] - value));
    spots = Object.fromEntries(Object.entries(after).map(([k, there]) => [k,
      there.map((v, i) => v + (1 - s) * ((before[k] || there)[i] - v))]));
    draw();
    if (t < 1) frame = requestAnimationFrame(step);
    else root.dataset.moving = "no";
  };
  root.dataset.moving = "yes";
  if (span) frame = requestAnimationFrame(step); else step(begun);
};
