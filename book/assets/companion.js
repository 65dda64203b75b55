// The theme measures once, when a page is loaded, which code is wider than its place and needs a
// tab stop to be scrolled by keyboard. What was folded then is measured when it is unfolded.
(() => {
  const measure = () => {
    for (const code of document.querySelectorAll("pre"))
      if (code.scrollWidth > code.clientWidth) code.tabIndex = 0;
  };
  document.addEventListener("toggle", measure, true);
  document.addEventListener("click", event => {
    if (event.target.closest(".admonition-title")) requestAnimationFrame(measure);
  });
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
