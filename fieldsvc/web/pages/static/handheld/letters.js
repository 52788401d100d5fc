// The service's signed receipts read: what each says, and that together they are one chain without a gap.

const PAGE = 1_000;

/** Read a receipt's body: {device, no, at, previous, events, …}; null for what is none. Proves nothing by itself. */
export function bodyOf(compact) {
  try {
    return JSON.parse(new TextDecoder().decode(decoded(compact.split(".")[1])));
  } catch {
    return null;
  }
}

/** Ask for every receipt of this phone, oldest first; null if they could not all be had. */
export async function everyReceipt(api) {
  const found = [];
  for (let cursor = ""; cursor !== null; ) {
    const { status, json } = await api(`/v1/me/receipts?limit=${PAGE}${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    if (status !== 200) return null;
    found.push(...json.receipts);
    cursor = json.cursor ?? null;
  }
  return found;
}

/**
 * Check receipts, {no, receipt} from the first one on: {count, broken, signed}. `broken` is the number at which the chain does
 * not hold, or null; `signed` whether every signature is good, null where this browser cannot tell. `key`: of /v1/proof-key.
 */
export async function checkChain(receipts, key = null) {
  const verifies = key ? await verifier(key) : null;
  let previous = "";
  let signed = verifies ? true : null;
  for (const [place, { receipt }] of receipts.entries()) {
    const body = bodyOf(receipt);
    if (body?.no !== place + 1 || body.previous !== previous) return { count: receipts.length, broken: place + 1, signed };
    if (verifies) signed = signed && (await verifies(receipt));
    previous = await digestOf(receipt);
  }
  return { count: receipts.length, broken: null, signed };
}

/** By how many milliseconds this phone's clock was ahead when an entry was answered; null without a receipt. */
export function clockAhead({ answered_at: here }, receipt) {
  const there = Date.parse(bodyOf(receipt?.receipt ?? "")?.at ?? "");
  return here && Number.isFinite(there) ? here - there : null;
}

async function digestOf(receipt) {
  const [, body, signature] = receipt.split(".").map(decoded);
  const both = new Uint8Array(body.length + signature.length);
  both.set(body);
  both.set(signature, body.length);
  return [...new Uint8Array(await crypto.subtle.digest("SHA-256", both))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function verifier({ public_key: told }) {
  const bytes = Uint8Array.from(atob(told), (letter) => letter.charCodeAt(0));
  const key = await crypto.subtle.importKey("raw", bytes, "Ed25519", false, ["verify"]).catch(() => null);
  if (!key) return null;
  return (receipt) => {
    const [head, body, signature] = receipt.split(".");
    return crypto.subtle.verify("Ed25519", key, decoded(signature), new TextEncoder().encode(`${head}.${body}`));
  };
}

function decoded(text) {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
}
