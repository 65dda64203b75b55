// The colours of the theme, and those of each level's classes.
const mix = (hex, shade) => {  // towards black for -1, towards white for 1, half of the way
  const channels = [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16));
  const end = shade < 0 ? 0 : 255, share = Math.abs(shade) * 0.42;
  return `rgb(${channels.map(c => Math.round(c + (end - c) * share)).join(",")})`;
};
const readColours = () => {
  const style = getComputedStyle(root), get = name => style.getPropertyValue(name).trim();
  colour = Object.fromEntries(["ink", "soft", "stage", "line", "faint"].map(k => [k, get(`--${k}`)]));
  colour.hues = [0, 1, 2, 3, 4, 5, 6, 7].map(i => get(`--h${i}`));
  colour.ranks = [0, 1, 2, 3, 4].map(i => get(`--r${i}`));
  levels.forEach(l => { l.paint = l.colours.map(([hue, shade]) => mix(colour.hues[hue], shade)); });
};
