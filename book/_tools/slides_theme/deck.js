(() => {
const root = document.documentElement, one = s => document.querySelector(s);
const slides = [...document.querySelectorAll(".slide")], overview = one("#overview");
let now = 0;
root.classList.add("js");

const show = (index, focus = true) => {
  now = Math.max(0, Math.min(slides.length - 1, index));
  slides.forEach((slide, i) => {
    slide.classList.toggle("now", i === now);
    if (i !== now) {  // a picture that plays on a slide that has gone
      const play = slide.querySelector("[data-play]");
      if (play && play.textContent !== "Play") play.click();
    }
  });
  one("#number").textContent = `${now + 1} / ${slides.length}`;
  one("#progress").style.width = `${100 * (now + 1) / slides.length}%`;
  one("#back").disabled = now === 0;
  one("#next").disabled = now === slides.length - 1;
  if (location.hash !== `#${now + 1}`) history.replaceState(null, "", `#${now + 1}`);
  if (focus) slides[now].focus({ preventScroll: true });
  scrollTo(0, 0);
};

const asked = () => (parseInt(location.hash.slice(1), 10) || 1) - 1;

const fill = () => {
  const list = overview.querySelector("ol");
  if (list.children.length) return;
  slides.forEach((slide, i) => {
    const item = document.createElement("li"), button = document.createElement("button");
    const number = document.createElement("small"), heading = document.createElement("span");
    const picture = slide.querySelector("img:not([hidden])");
    button.type = "button";
    number.textContent = i + 1;
    heading.textContent = slide.querySelector("h1, h2").textContent;
    button.append(number, heading);
    if (picture) {
      const small = new Image();
      small.src = picture.src; small.alt = "";
      small.className = picture.classList.contains("drawing") ? "drawing" : "";
      button.append(small);
    } else {
      const words = document.createElement("span");
      words.className = "words";
      words.textContent = slide.querySelector(".body").textContent.trim().replace(/\s+/g, " ").slice(0, 140);
      button.append(words);
    }
    button.addEventListener("click", () => { overview.close(); show(i); });
    item.append(button); list.append(item);
  });
};

const open = () => {
  fill();
  const buttons = [...overview.querySelectorAll("button")];
  buttons.forEach((b, i) => i === now ? b.setAttribute("aria-current", "true") : b.removeAttribute("aria-current"));
  overview.showModal();
  buttons[now].focus();
};

const speak = () => {
  const on = root.classList.toggle("speaking");
  one("#notes-open").setAttribute("aria-pressed", on);
};

const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
const theme = () => {
  root.dataset.theme = dark() ? "light" : "dark";
  try { localStorage.setItem("slides-theme", root.dataset.theme); } catch { /* no storage here */ }
};
try {
  const kept = localStorage.getItem("slides-theme");
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;
} catch { /* no storage here */ }

const full = () => document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen?.();

const next = () => show(now + 1), back = () => show(now - 1);
const keys = {
  ArrowRight: next, ArrowDown: next, PageDown: next, ArrowLeft: back, ArrowUp: back, PageUp: back,
  Home: () => show(0), End: () => show(slides.length - 1), Escape: open, o: open, s: speak, t: theme, f: full,
};

// A figure keeps its keys to itself, but for those of a presenter's remote control and Escape.
document.addEventListener("keydown", event => {
  if (overview.open || event.ctrlKey || event.metaKey || event.altKey) return;
  const inFigure = event.target.closest?.(".frames");
  if (inFigure && event.key === "Escape") { slides[now].focus(); event.stopPropagation(); return; }
  if (inFigure && !event.key.startsWith("Page")) return;
  const space = event.key === " " && !event.target.closest?.("button, a, input");
  const act = space ? (event.shiftKey ? back : next) : keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act) return;
  event.preventDefault(); event.stopPropagation();
  act();
}, true);

overview.addEventListener("keydown", event => {
  const buttons = [...overview.querySelectorAll("button")], at = buttons.indexOf(document.activeElement);
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (step) { event.preventDefault(); buttons[Math.max(0, Math.min(buttons.length - 1, at + step))].focus(); }
  if (event.key === "o") { event.preventDefault(); overview.close(); slides[now].focus(); }
});
overview.addEventListener("click", event => { if (event.target === overview) overview.close(); });

document.addEventListener("click", event => {
  const button = event.target.closest?.("[data-ends]");
  if (button) button.setAttribute("aria-pressed", button.closest(".frames").classList.toggle("ends"));
});

one("#next").addEventListener("click", next);
one("#back").addEventListener("click", back);
one("#overview-open").addEventListener("click", open);
one("#notes-open").addEventListener("click", speak);
one("#theme").addEventListener("click", theme);
addEventListener("hashchange", () => show(asked()));

let from = null;
one("#deck").addEventListener("touchstart", event => {
  const touch = event.changedTouches[0];
  from = event.touches.length > 1 || event.target.closest("input, button, div.formula, table") ? null : [touch.clientX, touch.clientY];
}, { passive: true });
one("#deck").addEventListener("touchend", event => {
  if (!from) return;
  const touch = event.changedTouches[0], across = touch.clientX - from[0], down = touch.clientY - from[1];
  from = null;
  if (Math.abs(across) > 50 && Math.abs(across) > 2 * Math.abs(down)) (across < 0 ? next : back)();
}, { passive: true });

show(asked(), false);
})();
