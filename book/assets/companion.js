// What is wider than its place is scrolled sideways: its edge says so (companion.css fades it), and a
// keyboard can scroll it. The theme measures code once, when a page is loaded; what was folded
// then, or drawn later, is measured when it is unfolded, and when the window changes.
(() => {
  const boxes = "pre, .text_html, .pst-scrollable-table-container, .frames-stage, div.math mjx-container[display=true]";
  const watched = new WeakSet();
  const look = box => {
    const room = box.scrollWidth - box.clientWidth;
    const more = room > 1 && [box.scrollLeft > 1 && "left", box.scrollLeft < room - 1 && "right"].filter(Boolean).join(" ");
    if (room > 1) box.tabIndex = 0;
    if (more) box.dataset.more = more; else delete box.dataset.more;
  };
  const measure = () => {
    for (const box of document.querySelectorAll(boxes)) {
      if (!watched.has(box)) box.addEventListener("scroll", () => look(box), { passive: true });
      watched.add(box);
      look(box);
    }
  };
  document.addEventListener("toggle", measure, true);
  document.addEventListener("click", event => {
    if (event.target.closest(".admonition-title")) requestAnimationFrame(measure);
  });
  addEventListener("resize", measure);
  addEventListener("load", () => Promise.resolve(window.MathJax?.startup?.promise).then(measure));
})();
// On a narrow screen the panels of a figure stand one under the other: parts of the same picture, of
// the one that a slider shows. Without this script the figure is scrolled sideways.
(() => {
  const narrow = matchMedia("(max-width: 600px)");
  const part = (image, place, number) => {
    const [left, top, right, bottom] = place.split(" ").map(share => share / 100);
    const box = document.createElement("div"), copy = image.cloneNode();
    const wide = right - left, high = bottom - top, set = (name, value) => box.style.setProperty(name, value);
    const [width, height] = ["width", "height"].map(side => +image.getAttribute(side));
    box.className = wide < 0.37 ? "frames-part small" : "frames-part";
    set("--natural", `${(high < 0.2 || wide < 0.37 ? 1 : 1.2) * wide * width}px`);  // a legend stays as it is
    set("--ratio", `${wide * width} / ${high * height}`);
    set("--whole", `${100 / wide}%`);
    set("--left", `${-100 * left / wide}%`);
    set("--top", `${-100 * top / high}%`);
    if (number) copy.alt = "";
    box.append(copy);
    return box;
  };
  const cut = stage => {
    const move = () => {
      const image = stage.querySelector(":scope > img:not([hidden])");
      stage.querySelectorAll(":scope > .frames-part").forEach(old => old.remove());
      stage.append(...image.dataset.parts.split(",").map((place, i) => part(image, place, i)));
    };
    new MutationObserver(move).observe(stage, { subtree: true, attributeFilter: ["hidden"] });
    move();
  };
  const cutAll = () => {
    if (narrow.matches) document.querySelectorAll(".frames-stage:has(> img[data-parts]):not(:has(.frames-part))").forEach(cut);
  };
  narrow.addEventListener("change", cutAll);
  cutAll();
})();
// Sphinx's search fetches each page that it found for a sentence around the word; a browser refuses
// that to a page opened from a file. Its titles are shown alone then.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
// Buttons and folded code carry names that are not what they show: whoever tells a voice control to
// click what is written there would not be understood (WCAG 2.5.3, label in name). A bibliography's roles
// contradict what it contains.
for (const [selector, attribute] of [
  ["summary", "aria-label"], [".search-button-field", "aria-label"],
  [".citation-list, [role=doc-biblioentry]", "role"],
]) document.querySelectorAll(selector).forEach(element => element.removeAttribute(attribute));
