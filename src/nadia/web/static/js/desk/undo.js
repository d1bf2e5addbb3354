// "Approved. Undo (4)": the toast that counts down while an approval can still be taken back.

import { api, showError } from "../api.js";
import { toast } from "../toast.js";

const LOOK_BACK = 100;

let latest = null;

export function offerUndo({ batch, name, seconds, onUndo }) {
  latest?.close();
  const endsAt = performance.now() + seconds * 1000;
  const run = () => {
    entry.close();
    onUndo(batch);
  };
  const closeToast = toast(`Approved for ${name}`, { tone: "good", action: "Undo", onAction: run, seconds });
  const button = document.getElementById("toasts").lastElementChild?.querySelector("button");
  const timer = setInterval(tick, 250);
  const entry = {
    run,
    close() {
      clearInterval(timer);
      closeToast();
      if (latest === entry) latest = null;
    },
  };

  function tick() {
    const left = Math.ceil((endsAt - performance.now()) / 1000);
    if (left <= 0) entry.close();
    else if (button) button.textContent = `Undo (${left})`;
  }

  tick();
  latest = entry;
}

// For the key; says whether there was anything to undo.
export function undoLatest() {
  if (!latest) return false;
  latest.run();
  return true;
}

// The last item whose approval by this person can still be taken back, or null.
export async function undoable(me) {
  try {
    const { items } = await api("GET", `/api/v1/desk/queue?tab=recent&limit=${LOOK_BACK}`);
    return items.find((item) => item.undo_until !== null && item.undo_of_id === me)?.batch_id ?? null;
  } catch (error) {
    showError(error);
    return null;
  }
}
