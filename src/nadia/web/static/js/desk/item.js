// The open item: what the customer wrote, the reply, and the decision about it.

import { api, ApiError, showError } from "../api.js";
import { toast } from "../toast.js";
import { createClaim } from "./claim.js";
import { ask } from "./dialogs.js";
import { createEditor } from "./editor.js";
import { fetchPart, patchRegions } from "./parts.js";
import { writeClocks, writeWaits } from "./times.js";
import { offerUndo } from "./undo.js";

const API = "/api/v1/desk/items";
const SETTLE = 120;
const SEEN = 500; // ms

export function createItem(pane, { me, onDecided, onUndone, onChanged, onReplies }) {
  let root = null; // the [data-item] element
  let editor = null;
  let claim = null;
  let read = null; // the conversation as it was read: when it was opened, confirmed, or a draft shown that answers it
  let seenTimer = 0;
  let asked = 0;
  let timer = 0;
  let busy = false;

  const id = () => (root ? Number(root.dataset.item) : null);
  const decidable = () => root?.dataset.decidable === "true";

  async function open(batch) {
    const turn = ++asked;
    try {
      const fresh = await fetchPart(`/desk/parts/items/${batch}`);
      if (turn !== asked) return false;
      claim?.leave();
      pane.replaceChildren(fresh);
      begin();
      pane.querySelector("h2")?.focus({ preventScroll: true });
      return true;
    } catch (error) {
      if (turn === asked) showError(error);
      return false;
    }
  }

  // Takes over what stands in the pane, put there by the server or by open().
  function begin() {
    claim?.forget();
    root = pane.querySelector("[data-item]");
    editor = claim = null;
    if (!root) return;
    read = present();
    arm();
    claim = newClaim(root.querySelector("[data-claim-line]"));
    const form = root.querySelector("[data-editor]");
    if (form) editor = createEditor(form, { onTouched: touched, onReplaced: arm });
    writeClocks(root);
    writeWaits(root);
    showAll();
    watchThread(root.querySelector(".thread"));
    requestAnimationFrame(showNewest);
  }

  // Nobody approves what has only just come up, such as with a second Ctrl+Enter or a draft that replaced another.
  // Who has seen a draft that answers the conversation as it is now has not missed anything of it.
  function arm() {
    const shown = root;
    const now = present();
    const answered = shown.dataset.stale !== "true";
    delete shown.dataset.seen;
    clearTimeout(seenTimer);
    seenTimer = setTimeout(() => {
      if (shown !== root) return;
      shown.dataset.seen = "true";
      if (answered) read = now;
    }, SEEN);
  }

  // What others than the desk have said, by message, with what became of it.
  function present() {
    const messages = [...root.querySelectorAll(".message[data-message]")];
    return {
      revision: root.dataset.revision,
      messages: new Map(messages.map((message) => [message.dataset.message, message.dataset.changed])),
    };
  }

  // On a narrow screen the page itself scrolls: begin with what the customer wrote last, the reply below it.
  function showNewest() {
    const thread = root?.querySelector(".thread");
    if (!thread || getComputedStyle(thread).overflowY !== "visible") return;
    thread.querySelector(".messages > :last-child")?.scrollIntoView({ block: "center" });
  }

  // Whoever reads the newest message goes on doing so while the reply below grows.
  let atEnd = true;
  const resized = new ResizeObserver(() => atEnd && root && scrollToEnd());
  function watchThread(thread) {
    atEnd = true;
    resized.disconnect();
    resized.observe(thread);
    thread.addEventListener("scroll", () => {
      atEnd = thread.scrollHeight - thread.scrollTop - thread.clientHeight < 40;
    });
  }

  // one for the page; the line that it writes to comes and goes with the item
  let shared = null;
  function newClaim(line) {
    shared ??= createClaim({ me, onLost: lost, onExpired: refresh, onShow: (mine) => root && (root.dataset.mine = String(mine)) });
    shared.setLine(line);
    return shared;
  }

  function showAll() {
    const said = root.dataset;
    claim.show(id(), { holderId: Number(said.holderId) || null, holder: said.holder, left: Number(said.claimLeft) || 0 });
    const held = claim.heldByOther() !== null;
    root.dataset.held = String(held);
    for (const button of root.querySelectorAll("[data-needs-claim]")) {
      button.disabled = held || (button.hasAttribute("data-needs-draftable") && said.state === "sealed");
    }
    editor?.show({
      batch: id(),
      start: said.start,
      draft: Number(said.draft) || null,
      name: said.startName,
      text: root.querySelector("[data-start-text]")?.value ?? "",
      disclosure: root.querySelector("[data-disclosure]")?.value ?? null,
      readOnly: held || !decidable(),
    });
  }

  function refreshSoon() {
    clearTimeout(timer);
    timer = setTimeout(refresh, SETTLE);
  }

  async function refresh() {
    clearTimeout(timer);
    if (!root) return;
    const turn = ++asked;
    try {
      const fresh = await fetchPart(`/desk/parts/items/${id()}`);
      if (turn !== asked || !root || fresh.dataset.item !== root.dataset.item) return;
      const follow = atEnd;
      const wasMine = claim.mine();
      patchRegions(root, fresh);
      showAll();
      if (wasMine) keepClaim();
      if (follow) scrollToEnd();
    } catch (error) {
      if (error.status !== 0 && turn === asked) showError(error);
    }
  }

  function scrollToEnd() {
    const thread = root.querySelector(".thread");
    thread.scrollTop = thread.scrollHeight;
  }

  // Somebody begins to write. An item that waits for its draft is taken with the first letter only: then none comes.
  async function touched(typed) {
    if (!decidable() || claim.heldByOther() !== null) return;
    if (root.dataset.state === "sealed" && !typed) return;
    if (!(await claim.take())) refresh();
  }

  // Another tab of the same person gave back what is being written here.
  function keepClaim() {
    if (busy || root.dataset.state !== "in_review" || root.dataset.holderId !== "") return;
    if (editor?.inUse()) claim.take();
  }

  function lost(error) {
    toast(error.message, { tone: "warn", hint: "What you typed is kept." });
    refresh();
    onChanged();
  }

  // One thing at a time; a refusal shows the present state and leaves the text alone.
  async function act(action) {
    if (busy || !root) return undefined;
    busy = true;
    pane.setAttribute("aria-busy", "true");
    try {
      return await action(id());
    } catch (error) {
      showError(error);
      if (error instanceof ApiError && (error.status === 409 || error.status === 404)) {
        await refresh();
        onChanged();
      }
      return undefined;
    } finally {
      busy = false;
      pane.removeAttribute("aria-busy");
    }
  }

  async function approve() {
    if (!editor || !decidable() || busy || root.dataset.seen !== "true") return;
    const holder = claim.heldByOther();
    if (holder !== null) {
      toast(`${holder} is working on this`, { tone: "warn" });
      return;
    }
    const problem = editor.problem();
    if (problem) {
      editor.showProblem(problem);
      editor.focus();
      return;
    }
    const batch = id();
    const seen = present();
    const { start, name } = root.dataset;
    const reply = {
      bubbles: editor.bubbles(),
      seen_revision: Number(seen.revision),
      seen_draft: editor.draft(),
      confirm_newer: root.dataset.stale === "true" || seen.revision !== read.revision,
    };
    if (reply.confirm_newer) {
      if ((await ask("stale", { prepare: showNewer })) === null || batch !== id()) return;
      if (root.dataset.start !== start) {
        toast("There is a new draft", { tone: "warn", hint: "Look at it again: nothing was approved." });
        return;
      }
      read = seen;
    }
    const approval = await act((number) => api("POST", `${API}/${number}/approve`, reply));
    if (!approval) return;
    decided(batch);
    offerUndo({ batch, name, seconds: approval.undo_seconds, onUndo: undo });
  }

  function showNewer(dialog) {
    const box = dialog.querySelector("[data-newer-messages]");
    const since = [...root.querySelectorAll(".message[data-message]")].filter(isSince);
    const known = (message) => read.messages.has(message.dataset.message);
    box.replaceChildren(...since.map((message) => message.cloneNode(true)));
    dialog.querySelector("[data-changes]").hidden = !since.some((message) => message.dataset.changed !== "");
    dialog.querySelector("[data-title]").textContent =
      since.some((message) => !known(message) || message.dataset.changed === "")
        ? "The customer wrote again"
        : "The conversation has changed";
  }

  // Since the draft was made, or since this page showed the conversation to be read.
  function isSince(message) {
    return message.hasAttribute("data-newer") || read.messages.get(message.dataset.message) !== message.dataset.changed;
  }

  async function undo(batch) {
    try {
      await api("POST", `${API}/${batch}/undo`);
      toast("Taken back: nothing was sent", { tone: "good" });
      onChanged();
      onUndone(batch);
      return true;
    } catch (error) {
      showError(error);
      onChanged();
      return false;
    }
  }

  async function reject() {
    if (!editor || !decidable() || claim.heldByOther() !== null) return;
    const batch = id();
    const seen = Number(root.dataset.revision);
    const answer = await ask("reject");
    if (answer === null || batch !== id()) return;
    const done = await act((number) =>
      api("POST", `${API}/${number}/reject`, { reason: answer.reason.trim(), seen_revision: seen }),
    );
    if (!done) return;
    editor.forget(batch);
    toast("Rejected: no reply goes out", { tone: "good" });
    decided(batch);
  }

  function decided(batch) {
    // the claim went with the decision
    claim.forget();
    root = editor = claim = null;
    onDecided(batch);
  }

  async function redraft() {
    if (!decidable() || claim.heldByOther() !== null || root.dataset.state === "sealed") return;
    const done = await act((number) => api("POST", `${API}/${number}/redraft`, {}));
    if (!done) return;
    toast("A new draft is on its way");
    claim.forget();
    await refresh();
    onChanged();
  }

  async function release() {
    if (!claim?.mine()) return;
    const done = await act(async (number) => {
      await api("POST", `${API}/${number}/release`);
      claim.forget(); // at once: what comes now about the release was this tab's own
      return true;
    });
    if (!done) return;
    document.activeElement?.blur();
    await refresh();
    onChanged();
    pane.querySelector("h2")?.focus({ preventScroll: true });
  }

  async function park() {
    if (!editor || !decidable() || claim.heldByOther() !== null) return;
    const answer = await ask("park");
    if (answer === null) return;
    const batch = id();
    const done = await act((number) => api("POST", `${API}/${number}/park`, { reason: answer.reason.trim() }));
    if (done) {
      toast("Parked", { tone: "good" });
      decided(batch);
    }
  }

  async function silence() {
    if (!root?.querySelector('[data-action="silence"]')) return;
    const { person, item: batch } = root.dataset;
    const answer = await ask("silence");
    if (answer === null || batch !== root?.dataset.item) return;
    const done = await act(() => api("POST", `/api/v1/quarantine/${person}/activate`, { reason: answer.reason.trim() }));
    if (!done) return;
    toast(done.changed ? "Silenced: what they write is kept under Quarantine" : "Silenced already", { tone: "good" });
    await refresh();
    onChanged();
  }

  async function unpark(resolution) {
    const done = await act((number) => api("POST", `${API}/${number}/unpark`, { resolution }));
    if (!done) return;
    await refresh();
    onChanged();
  }

  function close() {
    claim?.leave();
    claim?.forget();
    root = editor = claim = null;
    asked++;
  }

  const actions = {
    approve,
    reject,
    redraft,
    release,
    park,
    silence,
    revert: () => editor?.revert(),
    replies: () => openReplies(),
    undo: () => undo(id()),
    newest: () => root.querySelector("[data-divider]")?.scrollIntoView({ block: "center" }),
  };

  function openReplies() {
    if (!editor || !decidable() || claim.heldByOther() !== null) return;
    onReplies(root.dataset.near, (text) => editor?.insert(text));
  }

  pane.addEventListener("click", (event) => {
    const button = event.target.closest("[data-action]");
    if (!button) return;
    if (button.dataset.action === "unpark") unpark(button.dataset.resolution);
    else actions[button.dataset.action]?.();
  });
  pane.addEventListener("submit", (event) => {
    event.preventDefault();
    approve();
  });

  return {
    id,
    open,
    begin,
    close,
    refresh,
    refreshSoon,
    undo,
    actions,
    focusEditor() {
      if (!editor || !decidable()) return false;
      editor.focus();
      return true;
    },
    concerns: (fields) =>
      root !== null &&
      (fields.batch === undefined && fields.conversation === undefined
        ? true
        : fields.batch === root.dataset.item || fields.conversation === root.dataset.conversation),
    hasUndo: () => Number(root?.dataset.undoLeft) > 0,
  };
}
