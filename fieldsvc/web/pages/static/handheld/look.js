// The look that was chosen, put on before the first picture: sun, light, dark, or as the device likes (auto).
export const LOOKS = ["auto", "sun", "light", "dark"];
const KEPT = "fieldsvc.handheld.look";

/** Return the look that was chosen. */
export function chosenLook() {
  try {
    const kept = localStorage.getItem(KEPT);
    return LOOKS.includes(kept) ? kept : "auto";
  } catch {
    return "auto";
  }
}

/** Choose a look, and keep the choice. */
export function chooseLook(look) {
  try {
    localStorage.setItem(KEPT, look);
  } catch {
    // a browser that keeps nothing: for this time only
  }
  wear(look);
}

function wear(look) {
  const root = document.documentElement;
  root.dataset.look = look;
  document.getElementById("dark").media = { auto: "(prefers-color-scheme: dark)", dark: "all" }[look] ?? "not all";
  document.getElementById("sun").media = look === "sun" ? "all" : "not all";
}

wear(chosenLook());
