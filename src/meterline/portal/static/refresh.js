// Fetches the page anew every few seconds and puts in what changed. Without it, the page shows what it showed.
"use strict";

const EVERY_MS = 5000;
const busy = (part) => part.contains(document.activeElement) && document.activeElement !== document.body;

async function refresh() {
  if (document.hidden) return true;
  const address = new URL(location.href);
  address.searchParams.set("refresh", "1");
  address.searchParams.delete("done");
  const answer = await fetch(address, { credentials: "same-origin", redirect: "error" });
  if (answer.status === 403) return false;
  if (!answer.ok) return true;
  const next = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = next.getElementById(part.id);
    if (fresh !== null && !busy(part) && fresh.innerHTML !== part.innerHTML) part.replaceChildren(...fresh.childNodes);
  }
  return true;
}

async function go() {
  let open = true;
  try {
    open = await refresh();
  } catch {
    // The network is away; the next round tries again.
  }
  if (open) setTimeout(go, EVERY_MS);
}

setTimeout(go, EVERY_MS);
