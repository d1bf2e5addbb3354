// Quarantine: decisions with their reasons. The pages are the server's; what changes is fetched anew.

import { api } from "./api.js";
import { bindKeys } from "./desk/keys.js";
import { writeClocks, writeWaits } from "./desk/times.js";
import { onSubmit, openDialog } from "./form.js";
import { live } from "./live.js";
import { writeTimes } from "./shell.js";
import { toast } from "./toast.js";

const SETTLE = 150;
const SAFETY = 60000; // events may be missed; the page then still comes right within a minute

const ACTS = {
  activate: ["Silence this customer", "Nothing more is drafted, approved or sent to them. What they write is kept here.", "Silence", "Silenced"],
  deactivate: ["Lift the silence", "What is held goes to drafting, and parked items go on where they were.", "Lift", "The silence is lifted"],
  pass: ["Let through once", "What is held is drafted and may be answered; if nothing is, what they write next. The silence goes on.", "Let through", "Let through, once"],
  release: ["Release", "They are drafted and may be answered. The silence goes on for what comes.", "Release", "Released"],
  discard: ["Discard", "They end without a reply. This cannot be taken back.", "Discard", "Discarded"],
};

const root = () => document.querySelector("[data-live]");
const dialog = document.getElementById("decide");
const boxes = (which = "") => [...document.querySelectorAll(`[data-choose]${which}`)].map((box) => Number(box.value));
const chosen = () => boxes(":checked");
let act = null;
let about = [];

function decide(name) {
  if (!document.querySelector(`[data-decide="${name}"]`) || !dialog) return;
  act = name;
  const [title, means, does] = ACTS[name];
  const some = name === "release" || name === "discard";
  // What comes in meanwhile nobody has seen: all means all that this page shows.
  about = some ? (chosen().length > 0 ? chosen() : boxes()) : [];
  document.getElementById("decide-title").textContent = some ? `${title} ${words(about.length)}` : title;
  dialog.querySelector("[data-means]").textContent = means;
  dialog.querySelector("[data-does]").textContent = does;
  openDialog(dialog);
}

function words(count) {
  return count === 1 ? "one message" : `${count} messages`;
}

if (dialog) {
  const form = dialog.querySelector("form");
  onSubmit(form, async ({ reason }) => {
    const body = about.length > 0 ? { reason, messages: about } : { reason };
    try {
      const outcome = await api("POST", `/api/v1/quarantine/${root().dataset.person}/${act}`, body);
      toast(outcome.changed ? ACTS[act][3] : "It was so already", { tone: "good" });
    } catch (error) {
      if (error.status === 409) refresh({ force: true });
      throw error;
    }
    dialog.close();
    await refresh({ force: true });
  });
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.repeat) return;
    event.preventDefault();
    form.requestSubmit();
  });
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-decide]");
  if (button) decide(button.dataset.decide);
});
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-choose]")) showChoice();
});

function showChoice() {
  const line = document.querySelector("[data-choice-line]");
  if (line) line.textContent = chosen().length > 0 ? `${chosen().length} chosen.` : "All of them, unless you choose some.";
}

function step(by) {
  const rows = [...document.querySelectorAll("[data-row]")];
  const at = rows.indexOf(document.activeElement);
  rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by))]?.focus();
}

bindKeys({
  j: { repeats: true, run: () => step(1) },
  k: { repeats: true, run: () => step(-1) },
  r: () => decide("release"),
  d: () => decide("discard"),
  p: () => decide("pass"),
  l: () => decide("deactivate"),
  q: () => decide("activate"),
  Escape: () => document.querySelector("[data-back]")?.click(),
});

// Whoever is choosing or writing is not disturbed: what has changed comes with their decision.
async function refresh({ force = false } = {}) {
  if (!force && (dialog?.open || chosen().length > 0)) return;
  const response = await fetch(location.href, { headers: { Accept: "text/html" }, credentials: "same-origin" }).catch(() => null);
  if (!response?.ok || response.redirected) return;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html").querySelector("[data-live]");
  if (!fresh) return;
  const focused = document.activeElement?.id || document.activeElement?.getAttribute("href");
  root().replaceWith(fresh);
  writeTimes(fresh);
  writeClocks(fresh);
  writeWaits(fresh);
  if (focused) (document.getElementById(focused) ?? fresh.querySelector(`[href="${CSS.escape(focused)}"]`))?.focus();
}

let timer = 0;
function refreshSoon() {
  clearTimeout(timer);
  timer = setTimeout(refresh, SETTLE);
}

live("/api/v1/live", {
  change({ kind }) {
    if (kind === "silence.changed" || kind === "batch.held" || kind.startsWith("message.") || kind === "item.unparked") refreshSoon();
  },
  refresh: refreshSoon,
}, { onResume: refreshSoon });
setInterval(() => {
  if (document.visibilityState === "visible") refresh();
}, SAFETY);
