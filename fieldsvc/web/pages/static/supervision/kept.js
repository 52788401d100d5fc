// Small choices that a browser keeps between visits.

export function keep(name, on) {
  try {
    localStorage.setItem(`fieldsvc-${name}`, on ? "1" : "0");
  } catch {
    // a browser that keeps nothing
  }
}

export function remembered(name) {
  try {
    const kept = localStorage.getItem(`fieldsvc-${name}`);
    return kept === null ? null : kept === "1";
  } catch {
    return null;
  }
}
