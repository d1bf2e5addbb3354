// Stopping and starting sending or drafting, and the banner that says so.

import { api, attempt, showError } from "../api.js";
import { openSheet } from "./dialogs.js";
import { fetchPart } from "./parts.js";
import { writeClocks } from "./times.js";

export function createPauses() {
  const dialog = document.getElementById("dialog-pauses");

  // Banners and the dialog's lists are the server's words.
  async function refresh() {
    try {
      const fresh = await fetchPart("/desk/parts/status");
      const status = document.getElementById("status");
      const banners = fresh.querySelector("[data-banners]");
      if (status.innerHTML.trim() !== banners.innerHTML.trim()) status.replaceChildren(...banners.children);
      const present = dialog?.querySelector("[data-pauses]");
      if (present) replaceSwitches(present, fresh.querySelector("[data-pauses]").children);
    } catch (error) {
      if (error.status !== 0) showError(error);
    }
  }

  // News may come at any moment, also between a person's click and its answer: the focus stays on the same switch.
  function replaceSwitches(present, switches) {
    const focused = present.contains(document.activeElement) ? activityOf(document.activeElement) : null;
    present.replaceChildren(...switches);
    writeClocks(present);
    if (focused) focusSwitch(focused);
  }

  const activityOf = (button) => button.dataset.pause ?? button.dataset.resume;

  function focusSwitch(activity) {
    dialog.querySelector(`[data-pause="${activity}"], [data-resume="${activity}"]`)?.focus();
  }

  dialog?.addEventListener("click", (event) => {
    const button = event.target.closest("[data-pause], [data-resume]");
    if (!button) return;
    const reason = dialog.querySelector("[name=reason]");
    const activity = activityOf(button);
    const account = button.dataset.account || null;
    attempt(async () => {
      button.setAttribute("aria-busy", "true");
      try {
        if (button.dataset.pause) {
          await api("POST", "/api/v1/desk/pauses", { activity, telegram_account_id: account, reason: reason.value.trim() || "paused at the desk" });
          reason.value = "";
        } else {
          const query = new URLSearchParams({ activity, ...(account ? { telegram_account_id: account } : {}) });
          await api("DELETE", `/api/v1/desk/pauses?${query}`);
        }
      } finally {
        button.removeAttribute("aria-busy");
      }
      await refresh();
      focusSwitch(activity);
    });
  });

  return {
    refresh,
    open() {
      if (!dialog) return;
      openSheet("pauses");
      refresh();
    },
  };
}
