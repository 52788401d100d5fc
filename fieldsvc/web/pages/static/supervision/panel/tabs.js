// Tabs: arrows move, Home and End too, one of them is a stop of the Tab key. What is shown is told to `onShow(name)`.

export function makeTabs(list, onShow) {
  const tabs = [...list.querySelectorAll("[role=tab]")];
  const view = { tabs, onShow, current: tabs[0] };
  for (const tab of tabs) tab.addEventListener("click", () => choose(view, tab));
  list.addEventListener("keydown", (event) => walk(view, event));
  return view;
}

export function chosen(view) {
  return nameOf(view.current);
}

// Offer only some of the tabs; the first of them is chosen where the chosen one is not among them.
export function offer(view, names) {
  for (const tab of view.tabs) tab.hidden = !names.includes(nameOf(tab));
  if (view.current.hidden) choose(view, view.tabs.find((tab) => !tab.hidden));
}

export function choose(view, chosenTab) {
  view.current = chosenTab;
  for (const tab of view.tabs) {
    const on = tab === chosenTab;
    tab.setAttribute("aria-selected", String(on));
    tab.tabIndex = on ? 0 : -1;
    document.getElementById(tab.getAttribute("aria-controls")).hidden = !on;
  }
  view.onShow(nameOf(chosenTab));
}

function walk(view, event) {
  const all = view.tabs.filter((tab) => !tab.hidden);
  const at = all.indexOf(view.current);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  const tab = all[(to + all.length) % all.length];
  choose(view, tab);
  tab.focus();
}

function nameOf(tab) {
  return tab.id.replace("tab-", "");
}
