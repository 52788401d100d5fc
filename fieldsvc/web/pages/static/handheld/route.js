// Addresses after #: which screen, and what of it.

const NAMED = { stop: "stop_id", visit: "visit_id", pouch: "pouch_id", address: "stop_id", change: "stop_id", form: "type" };

/**
 * Read an address: {name, params}. What follows the name is in `params` under its name (`stop_id`, `visit_id`, `pouch_id`,
 * `type`; for proof `subject`, slashes and all), as `parts`, and what follows ? under its own names. Null for another kind of #.
 */
export function parse(hash) {
  if (!hash.startsWith("#/")) return null;
  const [path, query = ""] = hash.slice(2).split("?", 2);
  const [name, ...parts] = path.split("/").map(decoded);
  const rest = parts.join("/");
  const own = name === "proof" ? { subject: rest } : NAMED[name] ? { [NAMED[name]]: rest } : {};
  return { name, params: { ...Object.fromEntries(new URLSearchParams(query)), ...own, parts } };
}

/** Tell whether a text is an id such as things, visits and pouches have: not empty, not malformed. */
export function isId(text) {
  return /^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/.test(text);
}

/** Read a one-time code out of an address such as #ABCD-EFGH-IJKL-MNOP; empty if there is none. */
export function codeIn(hash) {
  const code = decoded(hash.slice(1));
  return !hash.startsWith("#/") && /^[\w\s-]{12,40}$/.test(code) ? code.toUpperCase() : "";
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // typed by hand, with a lone %
  }
}
