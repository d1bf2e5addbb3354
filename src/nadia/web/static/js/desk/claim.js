// Who works on the open item. Taking it is a lease: renewed while the page is open and seen, shown as it runs down.
//   const claim = createClaim({ me, onLost, onExpired }); claim.setLine(element)
//   claim.show(batchId, { holderId, holder, left })     what the server says
//   await claim.take()                                  true when it is ours
//   claim.leave()                                       gives it back, best effort

import { api, ApiError, showError } from "../api.js";
import { clock } from "./times.js";

const API = "/api/v1/desk/items";

export function createClaim({ me, onLost, onExpired, onShow }) {
  let line = null;
  let batch = null;
  let holderId = null;
  let holder = "";
  let endsAt = 0; // by this page's own clock
  let renewAt = 0;
  let taking = null;

  const lives = () => holderId !== null && performance.now() < endsAt;
  const mine = () => lives() && holderId === me;

  function show(id, said) {
    batch = id;
    holderId = said.left > 0 ? said.holderId : null;
    holder = said.holder;
    endsAt = performance.now() + said.left * 1000;
    // with two thirds of the lease to spare for a slow network
    if (mine()) renewAt = performance.now() + (said.left * 1000) / 3;
    write();
  }

  function take() {
    if (batch === null) return Promise.resolve(false);
    if (mine() && performance.now() < renewAt) return Promise.resolve(true);
    taking ??= ask(batch).finally(() => (taking = null));
    return taking;
  }

  async function ask(id) {
    try {
      const answer = await api("POST", `${API}/${id}/claim`);
      if (id === batch) {
        show(id, { holderId: answer.claimed_by_id, holder: answer.claimed_by, left: answer.claim_seconds_left });
      }
      return true;
    } catch (error) {
      if (error instanceof ApiError && error.status === 409) onLost(error);
      else showError(error);
      return false;
    }
  }

  // The answer is of no use to anybody, also when the page is closing just now.
  function leave() {
    if (!mine()) return;
    const token = document.querySelector('meta[name="csrf-token"]')?.content ?? "";
    fetch(`${API}/${batch}/release`, { method: "POST", keepalive: true, headers: { "X-CSRF-Token": token } }).catch(() => {});
    holderId = null;
  }

  function tick() {
    if (batch === null) return;
    if (holderId !== null && !lives()) {
      holderId = null;
      onExpired();
    }
    if (mine() && performance.now() >= renewAt && document.visibilityState === "visible") take();
    write();
  }

  function write() {
    if (!line) return;
    onShow(mine());
    if (!lives()) {
      line.hidden = true;
      return;
    }
    const left = clock((endsAt - performance.now()) / 1000);
    line.hidden = false;
    line.dataset.tone = mine() ? "accent" : "warn";
    line.textContent = mine() ? `Yours for ${left}` : `Held by ${holder} for ${left}`;
  }

  setInterval(tick, 1000);
  addEventListener("pagehide", leave);

  return {
    setLine: (element) => (line = element),
    show,
    take,
    leave,
    mine,
    forget() {
      batch = holderId = null;
      write();
    },
    heldByOther: () => (lives() && holderId !== me ? holder : null),
  };
}
