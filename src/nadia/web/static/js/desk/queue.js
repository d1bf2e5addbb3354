// The queue: rows that come and go by themselves, filtered by words, walked with the keyboard.

import { showError } from "../api.js";
import { fetchPart, patchRegions, patchRows } from "./parts.js";

const SETTLE = 120; // several events of one burst make one request

export function createQueue(root, { onOpen, onUndo, announce }) {
  const rows = root.querySelector("[data-rows]");
  const filter = root.querySelector("[data-filter]");
  const none = root.querySelector("[data-no-match]");
  let timer = 0;
  let asked = 0;
  let openId = null;

  const links = () => [...rows.querySelectorAll("li:not([hidden]) > a")];
  const tab = () => root.dataset.tab;

  function refreshSoon() {
    clearTimeout(timer);
    timer = setTimeout(refresh, SETTLE);
  }

  async function refresh() {
    clearTimeout(timer);
    const turn = ++asked;
    try {
      const fresh = await fetchPart(`/desk/parts/queue?tab=${tab()}`);
      if (turn !== asked) return; // a later answer is on its way or here
      apply(fresh);
    } catch (error) {
      if (error.status !== 0 && turn === asked) showError(error);
    }
  }

  function apply(fresh) {
    const sameTab = fresh.dataset.tab === root.dataset.shown;
    patchRegions(root, fresh);
    root.dataset.shown = fresh.dataset.tab;
    const added = patchRows(rows, fresh.querySelector("[data-rows]"));
    mark(openId);
    applyFilter();
    showCount();
    if (sameTab && tab() === "waiting" && added.length > 0) {
      announce(added.length === 1 ? `New in the queue: ${nameOf(added[0])}` : `${added.length} new in the queue`);
    }
  }

  function showCount() {
    const count = Number(root.dataset.waiting);
    document.title = document.title.replace(/^(\(\d+\) )?/, count > 0 ? `(${count}) ` : "");
  }

  function nameOf(key) {
    return rows.querySelector(`[data-key="${key}"] [data-name]`)?.textContent ?? "a conversation";
  }

  function applyFilter() {
    const wanted = fold(filter.value).split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows.children) {
      const text = fold(row.textContent);
      row.hidden = !wanted.every((word) => text.includes(word));
      if (!row.hidden) shown++;
    }
    none.hidden = shown > 0 || rows.children.length === 0;
  }

  // Opened rows stay marked; the mark is this page's, not the server's.
  function mark(id) {
    openId = id;
    for (const row of rows.children) {
      if (id !== null && row.dataset.key === String(id)) row.querySelector("a").setAttribute("aria-current", "true");
      else row.querySelector("a").removeAttribute("aria-current");
    }
  }

  function step(distance) {
    const all = links();
    if (all.length === 0) return;
    const from = all.indexOf(document.activeElement);
    const open = all.findIndex((link) => link.hasAttribute("aria-current"));
    const start = from >= 0 ? from : open;
    const next = start < 0 ? (distance > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, start + distance));
    all[next].focus();
    all[next].scrollIntoView({ block: "nearest" });
  }

  // Who comes after an item that leaves the queue, and nobody else works on; asked before it leaves.
  function after(id) {
    const all = links().map((link) => link.parentElement);
    const here = all.findIndex((row) => row.dataset.key === String(id));
    const free = (row) => row.dataset.key !== String(id) && row.dataset.taken !== "true";
    const next = all.slice(here + 1).find(free) ?? all.find(free);
    return next ? Number(next.dataset.key) : null;
  }

  root.addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
    const tabLink = event.target.closest("[data-tab-link]");
    if (tabLink) {
      event.preventDefault();
      root.dataset.tab = tabLink.dataset.tabLink;
      history.replaceState(history.state, "", tabLink.href);
      refresh();
      return;
    }
    const undo = event.target.closest("[data-undo]");
    if (undo) {
      undo.disabled = true;
      onUndo(Number(undo.dataset.undo));
      return;
    }
    const link = event.target.closest("[data-rows] a");
    if (link) {
      event.preventDefault();
      onOpen(Number(link.parentElement.dataset.key));
    }
  });
  filter.addEventListener("input", applyFilter);
  root.dataset.shown = root.dataset.tab;
  showCount();

  return {
    refresh,
    refreshSoon,
    mark,
    step,
    after,
    focusFilter: () => {
      filter.focus();
      filter.select();
    },
    leaveFilter() {
      if (document.activeElement !== filter) return false;
      if (filter.value) {
        filter.value = "";
        applyFilter();
      } else {
        filter.blur();
      }
      return true;
    },
    focusedId: () => Number(document.activeElement?.closest?.("[data-rows] > li")?.dataset.key) || null,
    focusRow(id) {
      const link = rows.querySelector(`[data-key="${id}"] > a`) ?? links()[0];
      link?.focus();
    },
  };
}

function fold(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLocaleLowerCase();
}
