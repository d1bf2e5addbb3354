// The review desk: queue and item side by side (one after the other on a narrow screen), live, with keys.

import { live } from "./live.js";
import { openSheet } from "./desk/dialogs.js";
import { createItem } from "./desk/item.js";
import { bindKeys } from "./desk/keys.js";
import { createPauses } from "./desk/pauses.js";
import { createQueue } from "./desk/queue.js";
import { createReplies } from "./desk/replies.js";
import { undoLatest, undoable } from "./desk/undo.js";

const SAFETY = 60000; // events may be missed; the page then still comes right within a minute

const desk = document.querySelector("[data-desk]");
const pane = desk.querySelector("[data-pane]");
const me = Number(desk.dataset.me);
const mayDecide = desk.dataset.mayDecide === "true";
const nothing = pane.querySelector("[data-nothing]").cloneNode(true);
nothing.hidden = false;
const liveMark = document.querySelector("[data-live]");
const announcer = desk.querySelector("[data-announcer]");

function announce(text) {
  announcer.textContent = "";
  requestAnimationFrame(() => (announcer.textContent = text));
}

const queue = createQueue(desk.querySelector("[data-queue]"), { onOpen: open, onUndo: (id) => item.undo(id), announce });
let insertReply = () => {};
const showReplies = document.getElementById("dialog-replies") ? createReplies({ onPick: (text) => insertReply(text) }) : () => {};
const item = createItem(pane, {
  me,
  onChanged: () => queue.refresh(),
  onDecided: goOn,
  onUndone: (id) => (id === item.id() ? item.refresh() : open(id)),
  onReplies(near, onPick) {
    insertReply = onPick;
    showReplies(near);
  },
});
const pauses = createPauses();

async function open(id, { push = true } = {}) {
  if (id === item.id()) {
    desk.dataset.view = "item";
    pane.querySelector("h2")?.focus({ preventScroll: true });
    return;
  }
  if (!(await item.open(id))) return;
  desk.dataset.view = "item";
  queue.mark(id);
  if (push) history.pushState({ item: id }, "", `/desk/items/${id}${location.search}`);
}

function showQueue({ push = true } = {}) {
  const id = item.id();
  item.close();
  pane.replaceChildren(nothing.cloneNode(true));
  desk.dataset.view = "queue";
  queue.mark(null);
  if (push) history.pushState({}, "", `/desk${location.search}`);
  if (id !== null) queue.focusRow(id);
}

// After a decision: the next one, without a detour.
async function goOn(decidedId) {
  const next = queue.after(decidedId);
  if (next !== null) await open(next);
  else showQueue();
  queue.refresh();
}

function back() {
  if (queue.leaveFilter()) return;
  const typing = document.activeElement?.closest("textarea, input");
  if (typing) {
    typing.blur();
    pane.querySelector("h2")?.focus({ preventScroll: true });
  } else if (item.id() !== null) showQueue();
}

function refreshAll() {
  queue.refresh();
  item.refresh();
  pauses.refresh();
}

const inQueue = () => document.activeElement === document.body || document.activeElement?.closest("[data-queue], h2") != null;

bindKeys({
  j: { repeats: true, run: () => queue.step(1) },
  k: { repeats: true, run: () => queue.step(-1) },
  ArrowDown: { repeats: true, when: inQueue, run: () => queue.step(1) },
  ArrowUp: { repeats: true, when: inQueue, run: () => queue.step(-1) },
  o: () => openFocused(),
  Enter: () => openFocused(),
  e: () => item.focusEditor(),
  "Ctrl+Enter": { whileTyping: true, run: () => item.actions.approve() },
  r: () => item.actions.reject(),
  n: () => item.actions.redraft(),
  s: () => item.actions.replies(),
  u: () => mayDecide && (undoLatest() || undoOwn()),
  w: () => item.actions.park(),
  x: () => item.actions.release(),
  q: () => item.actions.silence(),
  p: () => pauses.open(),
  "/": () => queue.focusFilter(),
  Escape: { whileTyping: true, run: () => back() },
  "?": () => openSheet("help"),
});

// After a reload no toast is left that knows what was approved last; the server does.
async function undoOwn() {
  const found = await undoable(me);
  if (found !== null) item.undo(found);
  else if (item.hasUndo()) item.actions.undo();
}

function openFocused() {
  const id = queue.focusedId();
  if (id === null) return false; // whatever has focus does what it does
  open(id);
  return true;
}

desk.addEventListener("click", (event) => {
  if (!event.target.closest("[data-back]") || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  showQueue();
});
document.querySelector("[data-open-pauses]")?.addEventListener("click", () => pauses.open());
document.querySelector("[data-open-help]")?.addEventListener("click", () => openSheet("help"));

addEventListener("popstate", () => {
  const found = location.pathname.match(/^\/desk\/items\/(\d+)$/);
  if (found) open(Number(found[1]), { push: false });
  else showQueue({ push: false });
});

live(
  "/api/v1/live",
  {
    change({ kind, fields }) {
      if (kind.startsWith("pauses.")) pauses.refresh();
      else {
        queue.refreshSoon();
        if (item.concerns(fields)) item.refreshSoon();
      }
    },
    refresh: refreshAll,
  },
  {
    onState(state) {
      liveMark.dataset.state = state;
      liveMark.textContent = state === "live" ? "Live" : "Reconnecting";
    },
    onResume: refreshAll,
  },
);
setInterval(() => {
  if (document.visibilityState === "visible") refreshAll();
}, SAFETY);

item.begin();
queue.mark(item.id());
