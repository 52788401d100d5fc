// Making nodes: text is always text, never markup.

const AGAIN_MS = 500;

export const $ = (id) => document.getElementById(id);

/** Make an element: `el("p", {class: "hint"}, "text", other)`; children are nodes, strings, or null, arrays of them too. */
export function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) put(made, name, value);
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
  return made;
}

function put(made, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name === "class") made.className = value;
  else if (name === "text") made.textContent = value;
  else if (name === "dataset") Object.assign(made.dataset, value);
  else if (name === "onclick") made.addEventListener("click", once(value));
  else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
  else if (name === "hidden" || name === "disabled" || name === "checked" || name === "value" || name === "open") made[name] = value;
  else made.setAttribute(name, value === true ? "" : value);
}

let savedAt = -Infinity; // when the last touch that had something to save was done with it

// One touch does one thing: until it is done a second one does nothing, nor does the other half of a double tap on what came then.
function once(onclick) {
  let isUnderWay = false;
  const end = () => {
    isUnderWay = false;
    savedAt = performance.now();
  };
  return (event) => {
    if (isUnderWay || (event.detail > 1 && performance.now() - savedAt < AGAIN_MS)) return undefined;
    const result = onclick(event);
    if (typeof result?.then !== "function") return result;
    isUnderWay = true;
    return result.then(end, (fault) => {
      end();
      throw fault;
    });
  };
}

/** Set a text only when it changes, so that a reader hears it once. */
export function say(element, words) {
  if (element.textContent !== words) element.textContent = words;
}
