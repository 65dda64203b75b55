// The pointer on the map: what is under it, and choosing it.
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
