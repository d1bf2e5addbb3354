// Short durations that go on by themselves.
//   <span data-since="2026-01-31T18:30:00Z">4 min</span>     how long it has waited
//   <time data-at="2026-01-31T18:30:00Z">18:30</time>         when, in the reader's zone; with the day unless today
// The server writes the same words (web/desk_words.py), so that nothing moves when this takes over.

export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")}`;
  return `${Math.floor(whole / 86400)} d`;
}

export function clock(seconds) {
  const whole = Math.max(0, Math.ceil(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export function writeWaits(root = document) {
  for (const element of root.querySelectorAll("[data-since]")) {
    const words = duration((Date.now() - new Date(element.dataset.since)) / 1000);
    if (element.textContent !== words) element.textContent = words;
  }
}

export function writeClocks(root = document) {
  const today = new Date().toDateString();
  for (const element of root.querySelectorAll("[data-at]")) {
    const moment = new Date(element.dataset.at);
    const time = moment.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
    const day = moment.toLocaleDateString(undefined, { day: "numeric", month: "short" });
    element.textContent = moment.toDateString() === today ? time : `${day}, ${time}`;
    element.title = moment.toLocaleString(undefined, { dateStyle: "full", timeStyle: "medium" });
  }
}

writeWaits();
writeClocks();
setInterval(writeWaits, 5000);
