// Where the figure is, and small tools for all that follows.
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
