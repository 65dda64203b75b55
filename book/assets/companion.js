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
// Sphinx's search fetches each page that it found for a sentence around the word; a browser refuses
// that to a page opened from a file. Its titles are shown alone then.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
// Buttons and folded code carry names that are not what they show: who says "click Show the code" to
// a voice control would not be understood (WCAG 2.5.3, label in name). A bibliography's roles
// contradict what it contains.
for (const [selector, attribute] of [
  ["summary", "aria-label"], [".search-button-field", "aria-label"],
  [".citation-list, [role=doc-biblioentry]", "role"],
]) document.querySelectorAll(selector).forEach(element => element.removeAttribute(attribute));
