// The journal of a run: what was said, when, where; what came late, what was corrected, and the proofs.

import { getAll } from "../api.js";
import { el, say } from "../dom.js";
import { clock, has, language, t } from "../words.js";
import { failed } from "./part.js";

const DAY = 1000; // entries asked for at once: the whole day of nearly every run

export function makeJournal(root) {
  const find = (name) => root.querySelector(`[data-journal="${name}"]`);
  return { find, key: "" };
}

export function forget(view) {
  view.key = "";
  view.find("list").replaceChildren();
  view.find("list").hidden = true;
  say(view.find("words"), t("journal_loading"));
}

// Read the journal of a run; `ask(path)` adds what the page asks with. Returns its entries, or null.
export async function readJournal(view, run, ask) {
  const read = getAll(ask(`/v1/runs/${encodeURIComponent(run)}/timeline`), "entries", DAY);
  const entries = await failed(read, () => say(view.find("words"), t(view.key ? "journal_stale" : "journal_fault")));
  return entries;
}

// Show entries, the newest first. Nothing is touched while they are the same, so that an open picture stays open.
export function showJournal(view, entries) {
  const key = entries.map(({ event_id: id, type, state, pictures }) => `${id} ${type} ${state} ${pictures.length}`).join();
  if (view.key === key && key) return;
  view.key = key;
  const list = view.find("list");
  const scrolled = list.scrollTop;
  list.replaceChildren(...[...entries].reverse().map((entry) => line(entry, replacedBy(entry, entries))));
  list.hidden = entries.length === 0;
  list.scrollTop = scrolled;
  say(view.find("words"), entries.length ? t("journal_n", { n: entries.length }) : t("journal_nothing"));
}

// What stands instead of a superseded or corrected entry: the next of its subject that is still said. Pure.
export function replacedBy(entry, entries) {
  if (entry.state === "said" || !entry.subject) return null;
  const later = entries.slice(entries.indexOf(entry) + 1);
  return later.find((other) => other.subject === entry.subject && other.state === "said") ?? null;
}

function line(entry, instead) {
  const struck = entry.state !== "said";
  const title = entry.title[language] ?? entry.title.fr;
  return el("li", { class: struck ? "is-struck" : "", dataset: { event: entry.event_id } },
    el("time", { datetime: entry.at, text: clock(entry.at) }),
    el("div", {},
      el("p", { class: "journal__what" }, struck ? el("del", { text: title }) : title),
      entry.text ? el("p", { text: entry.text }) : null,
      facts(entry),
      struck ? el("p", { class: "journal__note", text: insteadWords(entry, instead) }) : null,
      entry.proof ? el("p", { class: "journal__proof", text: t("journal_proof", { words: entry.proof.words[language], score: entry.proof.score }) }) : null,
      ...entry.warnings.map((warning) => el("p", { class: "journal__warning", text: wordsOf(warning) })),
      papers(entry),
    ),
  );
}

function facts(entry) {
  const parts = [entry.address, entry.late ? t("journal_late", { at: clock(entry.received_at) }) : null, entry.paper ? t("journal_paper") : null];
  const said = parts.filter(Boolean);
  return said.length ? el("p", { class: "journal__where", text: said.join(" · ") }) : null;
}

function insteadWords(entry, instead) {
  if (!instead) return t(entry.state === "corrected" ? "journal_corrected" : "journal_superseded");
  return t("journal_replaced", { what: instead.title[language] ?? instead.title.fr, at: clock(instead.at) });
}

function wordsOf(warning) {
  return t(has(`warning_${warning}`) ? `warning_${warning}` : "warning_other");
}

function papers(entry) {
  if (!entry.pictures.length && !entry.proof_url) return null;
  const where = el("div", { class: "journal__pictures" });
  const links = entry.pictures.map((sha256, n) => picture(sha256, n, where));
  if (entry.proof_url) {
    links.push(el("a", { href: `${entry.proof_url}?format=pdf&lang=${language}`, download: "", text: t("journal_pdf") }));
  }
  return el("div", {}, el("p", { class: "journal__papers" }, ...links), where);
}

// A picture is fetched when somebody asks for it: each look at one is noted.
function picture(sha256, n, where) {
  const shown = el("img", { alt: t("journal_picture_alt", { n: n + 1 }), hidden: true });
  shown.addEventListener("error", () => shown.replaceWith(el("p", { class: "journal__note", text: t("journal_picture_missing") })));
  const link = el("button", { type: "button", class: "linklike", "aria-expanded": "false", text: t("journal_picture", { n: n + 1 }), onclick: () => {
    if (!shown.src) shown.src = `/v1/media/${sha256}`;
    shown.hidden = !shown.hidden;
    link.setAttribute("aria-expanded", String(!shown.hidden));
    say(link, t(shown.hidden ? "journal_picture" : "journal_picture_hide", { n: n + 1 }));
  } });
  where.append(shown);
  return link;
}
