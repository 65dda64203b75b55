// The first picture, and redrawing when the size or the theme changes.
const dress = () => { readColours(); show(); draw(); };
readColours(); fillImages();
xy = target();
show(); draw(); spots = arrange(xy); draw();
new ResizeObserver(draw).observe(canvas);
const themes = new MutationObserver(dress);
[document.documentElement, document.body].forEach(element => themes.observe(element,
  { attributes: true, attributeFilter: ["data-theme", "data-jp-theme-light", "theme"] }));
root.dataset.moving = "no";
