// How many alerts are open, beside their page's link: read again every half minute, and when a page says that they changed.

const EVERY_MS = 30000;
const box = document.getElementById("open-alerts");

if (box) {
  read();
  setInterval(() => document.hidden || read(), EVERY_MS);
  document.addEventListener("alerts-changed", read);
}

async function read() {
  const answer = await fetch(box.dataset.from, { cache: "no-cache", signal: AbortSignal.timeout(15000) }).catch(() => null);
  if (!answer?.ok) return;
  const { sites } = await answer.json();
  const sum = (name) => sites.reduce((all, { alerts }) => all + alerts[name], 0);
  const open = sum("open");
  box.querySelector("b").textContent = open > 99 ? "99+" : String(open);
  box.classList.toggle("is-urgent", sum("urgent") > 0);
  box.hidden = open === 0;
}
