// A hostile day that runs: its page is read again every two seconds, and shown whole once the day has ended.

const EVERY_MS = 2_000;
const part = "[data-running]";

async function look() {
  try {
    const answer = await fetch(location.href, { credentials: "same-origin" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const next = page.querySelector(part);
    if (!answer.ok || !next) {
      location.reload();
      return;
    }
    document.querySelector(part)?.replaceChildren(...next.childNodes);
  } catch {
    // The network is gone for a moment: the next look finds it.
  }
  setTimeout(look, EVERY_MS);
}

setTimeout(look, EVERY_MS);
