// Keeps the page for when there is no network. The service writes SHELL above this: its version, its pages, its files.
const CACHE = `fieldsvc-handheld-${SHELL.version}`;
const PAGE = "/handheld";
const WORDS = Object.keys(SHELL.pages).map((language) => `${PAGE}/words/${language}`);
const KEPT = new Set([...SHELL.scripts, ...Object.keys(SHELL.files).map(plain), ...WORDS]);
const CHOICE = "fieldsvc-handheld-choice";
const MINE = /^fieldsvc-handheld-[0-9a-f]{16}$/;

self.addEventListener("install", (event) => event.waitUntil(keepEverything()));
self.addEventListener("activate", (event) => event.waitUntil(takeOver()));
self.addEventListener("message", ({ data, ports }) => {
  if (data.take) self.skipWaiting();
  if (data.tell) ports[0].postMessage({ version: SHELL.version });
});

self.addEventListener("fetch", (event) => {
  const { method, mode, url } = event.request;
  const { origin, pathname, searchParams } = new URL(url);
  if (method !== "GET" || origin !== self.location.origin) return;
  if (mode === "navigate" && pathname === PAGE) event.respondWith(page(event.request, searchParams.get("lang")));
  else if (KEPT.has(pathname)) event.respondWith(kept(event.request, pathname));
});

// All of a version or nothing of it; the one that is in use stays until this one is taken.
async function keepEverything() {
  const cache = await caches.open(CACHE);
  const files = Object.entries(SHELL.files).map(([path, tag]) => keep(cache, path, plain(path), tag));
  const pages = Object.values(SHELL.pages).map((path) => keep(cache, path, path, null));
  await Promise.all([...files, ...pages, unpack(cache)]);
}

async function keep(cache, path, name, tag) {
  await cache.put(name, await answer(path, tag));
}

async function unpack(cache) {
  const { scripts, words, languages } = await (await answer(SHELL.bundle, SHELL.bundle.split("=")[1])).json();
  const puts = [
    ...Object.entries(scripts).map(([path, text]) => [path, text, "text/javascript"]),
    ...languages.map((language, n) => [`${PAGE}/words/${language}`, JSON.stringify(wordsIn(words, n)), "application/json"]),
  ];
  await Promise.all(puts.map(([path, text, type]) => cache.put(path, new Response(text, { headers: { "Content-Type": `${type}; charset=utf-8` } }))));
}

function wordsIn(words, n) {
  return Object.fromEntries(Object.entries(words).map(([key, all]) => [key, all[n]]));
}

/** Ask for something of this version; rejects what is of another one, as in the middle of an update of the service. */
async function answer(path, tag) {
  const found = await fetch(path, { cache: tag ? "default" : "no-cache", credentials: "omit" });
  const own = (found.headers.get("ETag") ?? "").replace(/^W\//, "").replaceAll('"', "").replace(/-gz$/, "");
  if (found.status !== 200 || (tag && own !== tag)) throw new Error(`not of this version: ${path}`);
  return found;
}

async function takeOver() {
  const others = (await caches.keys()).filter((name) => MINE.test(name) && name !== CACHE);
  await Promise.all(others.map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function page(request, asked) {
  const cache = await caches.open(CACHE);
  const language = asked in SHELL.pages ? asked : await chosenLanguage();
  return (await cache.match(SHELL.pages[language], { ignoreVary: true })) ?? fetch(request);
}

async function chosenLanguage() {
  const kept = await caches.match("/handheld/language", { cacheName: CHOICE });
  const choice = kept ? await kept.text() : self.navigator.language.slice(0, 2);
  return choice in SHELL.pages ? choice : "fr";
}

async function kept(request, path) {
  const cache = await caches.open(CACHE);
  return (await cache.match(path, { ignoreVary: true })) ?? fetch(request);
}

function plain(path) {
  return path.split("?")[0];
}
