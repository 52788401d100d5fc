// The first steps: the worker brings everything in one piece, the words are put where scripts read them, and the page begins.

const PAGE = "/handheld";
const PATIENCE_MS = 30_000;
const language = document.documentElement.lang;

/** Wait until a worker serves this page; where there is none to be had the scripts come one by one. */
async function served() {
  const workers = navigator.serviceWorker;
  if (!workers || workers.controller) return;
  const taken = new Promise((resolve) => workers.addEventListener("controllerchange", resolve, { once: true }));
  const found = await workers.register(`${PAGE}/sw.js`, { scope: PAGE, updateViaCache: "none" });
  const coming = found.installing ?? found.waiting;
  if (!coming) return; // a page that was loaded past its worker
  const broken = new Promise((resolve) => coming.addEventListener("statechange", () => coming.state === "redundant" && resolve()));
  await Promise.race([taken, broken, new Promise((resolve) => setTimeout(resolve, PATIENCE_MS))]);
}

async function words() {
  if (navigator.serviceWorker?.controller) return (await fetch(`${PAGE}/words/${language}`)).text();
  const { words: every, languages } = await (await fetch(`${PAGE}/shell.json`)).json();
  const n = languages.indexOf(language);
  return JSON.stringify(Object.fromEntries(Object.entries(every).map(([key, all]) => [key, all[n]])));
}

await served().catch(() => {});
document.getElementById("words").textContent = await words();
await import("./main.js");
