// The list of all classes of all levels, found by typing: the combobox of the ARIA practices.
const search = one("[data-class]"), list = one("[data-list]");
const entries = levels.flatMap((of, at) => of.names.map((text, k) =>
  ({ at, k, text, parent: of.parents[k] || "" })));
let found = [], active = -1;
const named = () => { search.value = state.group < 0 ? "" : own().names[state.group]; };
const close = () => {
  list.hidden = true; active = -1;
  search.setAttribute("aria-expanded", false);
  search.removeAttribute("aria-activedescendant");
};
const activate = index => {
  active = index;
  list.querySelectorAll("[role=option]").forEach((item, i) => {
    item.setAttribute("aria-selected", i === active);
    if (i !== active) return;
    search.setAttribute("aria-activedescendant", item.id);
    list.scrollTop = clamp(list.scrollTop, item.offsetTop + item.offsetHeight - list.clientHeight,
      item.offsetTop - 28);  // below the heading that stays at the top
  });
};
const rank = ({ text, parent }, wanted) => {  // how well a class fits what was typed; 4, not at all
  const [own, group] = [text, parent].map(one => ` ${one.toLowerCase()}`);
  const fits = [own.startsWith(` ${wanted}`), own.includes(` ${wanted}`), own.includes(wanted),
    group.includes(` ${wanted}`)];
  return [...fits, true].indexOf(true);
};
const open = typed => {
  const wanted = typed.trim().toLowerCase();
  found = entries.map(entry => ({ ...entry, rank: rank(entry, wanted) }))
    .filter(entry => entry.rank < 4);
  const best = levels.map((_, at) => Math.min(...found.filter(e => e.at === at).map(e => e.rank)));
  found.sort((a, b) => best[a.at] - best[b.at] || a.at - b.at || a.rank - b.rank);
  list.replaceChildren(...[...new Set(found.map(entry => entry.at))].map(at => {
    const items = found.map((entry, i) => [entry, i]).filter(([entry]) => entry.at === at);
    const { label } = levels[at];
    return make("div", { role: "group", ariaLabel: label },
      make("b", { textContent: label, ariaHidden: "true" }), ...items.map(([entry, i]) => {
        const item = make("div", { role: "option", id: `${list.id}-${i}` },
          make("span", { textContent: entry.text }), make("small", { textContent: entry.parent }));
        item.addEventListener("pointerdown", event => event.preventDefault());  // keeps the focus
        item.addEventListener("click", () => choose(entry));
        return item;
      }));
  }));
  if (!found.length) {
    list.append(make("div", { role: "option", ariaDisabled: "true", ariaSelected: "false",
      textContent: "no class of that name" }));
  }
  list.hidden = false;
  search.setAttribute("aria-expanded", true);
  const ours = found.findIndex(entry => entry.at === state.at && entry.k === state.group);
  activate(wanted ? 0 : ours);
};
const choose = entry => { close(); pick(entry.at, entry.k); };
const step = by => {
  if (list.hidden) open(""); else if (found.length) activate((active + by + found.length) % found.length);
};
search.addEventListener("focus", () => search.select());
search.addEventListener("click", () => { if (list.hidden) open(""); });
search.addEventListener("input", () => open(search.value));
search.addEventListener("blur", () => { close(); named(); });
search.addEventListener("keydown", event => {
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault(); step(event.key === "ArrowDown" ? 1 : -1);
  } else if (event.key === "Enter" && found[active]) {
    event.preventDefault(); choose(found[active]);
  } else if (event.key === "Escape" && !list.hidden) {
    event.stopPropagation(); close(); named(); search.select();
  }
});
