// Making elements: never from markup, so that data stays data.

// props: class, text, hidden, dataset, on… (a listener), anything else an attribute.
export function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) put(made, name, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function say(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

export function button(words, name, onClick) {
  return el("button", { type: "button", class: `button--small ${name}`, text: words, onclick: onClick });
}

function put(made, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name === "class") made.className = value;
  else if (name === "text") made.textContent = value;
  else if (name === "dataset") Object.assign(made.dataset, value);
  else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
  else made.setAttribute(name, value === true ? "" : value);
}
