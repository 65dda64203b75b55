// The pointer on the map, and on the buttons that stand for images: where each one is.
const tip = one("[data-tip]");
const under = event => {
  const box = canvas.getBoundingClientRect();
  const x = event.clientX - box.left, y = event.clientY - box.top;
  let best = -1, least = 14 ** 2;
  for (let i = 0; i < N; i += 1) {
    const square = (X(i) - x) ** 2 + (Y(i) - y) ** 2;
    if (square < least) { least = square; best = i; }
  }
  return best;
};
const point = i => {
  if (i === pointed) return;
  pointed = i; tip.hidden = i < 0;
  draw();
  if (i < 0) return;
  const text = levels[0].names[fine[i]], all = level();
  tip.replaceChildren(photograph(i, 64), make("span", {
    textContent: all === levels[0] ? text : `${text} · ${all.names[all.of[i]]}` }));
  tip.style.left = `${clamp(X(i) + 12, 2, size - tip.offsetWidth - 4)}px`;
  const above = Y(i) - tip.offsetHeight - 10;
  tip.style.top = `${above > 2 ? above : Math.min(Y(i) + 12, size - tip.offsetHeight - 2)}px`;
};
canvas.addEventListener("pointermove", event => {
  point(event.pointerType === "touch" ? -1 : under(event));
});
canvas.addEventListener("pointerleave", () => point(-1));
canvas.addEventListener("click", event => {
  const i = under(event);
  if (i < 0) letGo(); else pick(0, fine[i], i);
});
const buttons = one("[data-found]");
["pointerover", "focusin"].forEach(kind => buttons.addEventListener(kind, event => {
  point(+(event.target.closest("[data-point]")?.dataset.point ?? -1));
}));
["pointerleave", "focusout"].forEach(kind => buttons.addEventListener(kind, () => point(-1)));
