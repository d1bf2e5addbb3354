// Operations: the page is the server's; it is fetched anew every few seconds while somebody looks.

import { writeClocks } from "./desk/times.js";
import { writeTimes } from "./shell.js";

const EVERY = 10000;
const state = document.querySelector("[data-live-state]");

function say(live) {
  state.dataset.state = live ? "live" : "waiting";
  state.textContent = live ? "Live" : "Waiting for the server";
}

async function refresh() {
  if (document.visibilityState !== "visible") return;
  const response = await fetch(location.href, { headers: { Accept: "text/html" }, credentials: "same-origin" }).catch(() => null);
  if (response?.redirected) return location.reload(); // the session is over
  const fresh = response?.ok ? new DOMParser().parseFromString(await response.text(), "text/html").querySelector("[data-live]") : null;
  say(fresh !== null);
  if (!fresh) return;
  const old = document.querySelector("[data-live]");
  const open = [...old.querySelectorAll("details")].map((details) => details.open);
  const focused = document.activeElement?.getAttribute("href");
  const wanted = focused && old.contains(document.activeElement) ? `[href="${CSS.escape(focused)}"]` : null;
  fresh.querySelectorAll("details").forEach((details, index) => (details.open = open[index] ?? false));
  old.replaceWith(fresh);
  writeTimes(fresh);
  writeClocks(fresh);
  if (wanted) fresh.querySelector(wanted)?.focus({ preventScroll: true });
}

setInterval(refresh, EVERY);
document.addEventListener("visibilitychange", refresh);
