// Below the list: the signed receipts as this phone's own evidence, and the room that is left.

import { say } from "../../base.js";
import { button, el } from "../dom.js";
import { checkChain, everyReceipt } from "../letters.js";
import { bytesInWords } from "../outbox_words.js";

/** The part on receipts: checked and saved when asked for. */
export function receiptsPart(ctx) {
  const said = el("p", { role: "status" });
  const save = button({ text: say("outbox_receipts_save"), kind: "quiet", class: "receipts__save", hidden: true });
  const check = button({ text: say("outbox_receipts_check"), kind: "quiet", class: "receipts__check", onclick: () => run() });
  const run = async () => {
    said.textContent = say("outbox_receipts_checking");
    const found = await checked(ctx);
    said.textContent = found.text;
    save.hidden = !found.receipts;
    save.onclick = () => download(found);
  };
  return el("section", { class: "receipts" }, el("h2", {}, say("outbox_receipts_title")), el("p", {}, say("outbox_receipts_what")), el("div", { class: "presses" }, check, save), said);
}

async function checked({ api }) {
  const [receipts, proof] = await Promise.all([everyReceipt(api), api("/v1/proof-key", { signed: false })]);
  if (!receipts) return { text: say("outbox_receipts_offline"), receipts: null };
  const key = proof.status === 200 ? proof.json : null;
  return { text: chainInWords(await checkChain(receipts, key)), receipts, key };
}

function chainInWords({ count, broken, signed }) {
  if (!count) return say("outbox_receipts_none");
  if (broken !== null) return say("outbox_receipts_broken", { no: broken });
  if (signed === false) return say("outbox_receipts_forged");
  return say(signed ? "outbox_receipts_good" : "outbox_receipts_chained", { n: count });
}

function download({ receipts, key }) {
  const text = JSON.stringify({ key, receipts }, null, 1);
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  el("a", { href: url, download: "fieldsvc-receipts.json" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** The part on storage: used, of how much, and whether the browser promises to keep it. */
export function storagePart({ kept }) {
  const used = el("p", {});
  const promised = el("p", {});
  const show = async () => {
    const { usage, quota } = (await navigator.storage?.estimate?.().catch(() => null)) ?? {};
    used.textContent = usage === undefined ? say("outbox_storage_unknown") : say("outbox_storage_used", { used: bytesInWords(usage), quota: bytesInWords(quota) });
    promised.textContent = say(kept.persisted ? "outbox_storage_promised" : "outbox_storage_not_promised");
  };
  show();
  return el("section", { class: "storage" }, el("h2", {}, say("outbox_storage_title")), used, promised);
}
