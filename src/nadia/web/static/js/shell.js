// What every page can do: theme, log-out, banners, local times.
//   setBanner("paused", "Sending is paused", "warn")     setBanner("paused", "")  takes it away

import { api, attempt } from "./api.js";

export function setBanner(key, text, tone = "warn") {
  const box = document.getElementById("status");
  let banner = [...box.children].find((child) => child.dataset.key === key);
  if (!text) {
    banner?.remove();
    return;
  }
  if (!banner) {
    banner = box.appendChild(document.createElement("p"));
    banner.className = "banner";
    banner.dataset.key = key;
  }
  banner.dataset.tone = tone;
  banner.textContent = text;
}

// <time datetime="…" data-style="ago|full"> is written in the reader's zone and language, and kept current.
export function writeTimes(root = document) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(element.dateTime);
    const full = moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
    element.textContent = element.dataset.style === "full" ? full : ago(moment);
    element.title = full;
  }
}

const STEPS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60]];

export function ago(moment) {
  const words = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
  const seconds = (moment - Date.now()) / 1000;
  for (const [unit, length] of STEPS) {
    if (Math.abs(seconds) >= length) return words.format(Math.trunc(seconds / length), unit);
  }
  return "just now";
}

function toggleTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const chosen = dark ? "light" : "dark";
  root.dataset.theme = chosen;
  try {
    localStorage.setItem("nadia.theme", chosen);
  } catch {
    // storage is off: the choice lasts as long as the page
  }
}

document.querySelector("[data-theme-toggle]")?.addEventListener("click", toggleTheme);
document.querySelector("[data-log-out]")?.addEventListener("click", () =>
  attempt(async () => {
    await api("DELETE", "/api/v1/session");
    location.assign("/login");
  }),
);
writeTimes();
setInterval(writeTimes, 30000);
