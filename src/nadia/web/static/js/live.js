// Live updates by server-sent events, with reconnection.
//   const stop = live("/api/v1/desk/events", {
//     "batch.changed": (data) => …,          // by event name; data is parsed JSON
//   }, {
//     onState: (state) => …,                 // "live" or "waiting"
//     onResume: () => …,                     // after a gap: fetch the present state anew
//     whenHidden: "close",                   // or "keep"; browsers allow six streams per site over all tabs
//   });

import { api } from "./api.js";

const FIRST_DELAY = 1000;
const LONGEST_DELAY = 15000;
const HIDDEN_GRACE = 30000;

export function live(url, handlers, { onState = () => {}, onResume = () => {}, whenHidden = "close" } = {}) {
  let source = null;
  let lastId = "";
  let failures = 0;
  let timer = 0;
  let hiddenTimer = 0;
  let connectedBefore = false;
  let stopped = false;

  function open() {
    clearTimeout(timer);
    if (stopped || source) return;
    const target = new URL(url, location.href);
    if (lastId) target.searchParams.set("last_event_id", lastId);
    source = new EventSource(target);
    source.addEventListener("open", () => {
      failures = 0;
      onState("live");
      if (connectedBefore) onResume();
      connectedBefore = true;
    });
    source.addEventListener("error", () => {
      // The browser's own reconnection gives up on an error status; ours does not, and asks first who we are.
      close();
      onState("waiting");
      if (stopped) return;
      const delay = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** failures++);
      timer = setTimeout(reopen, delay * (0.7 + 0.6 * Math.random()));
    });
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => {
        if (event.lastEventId) lastId = event.lastEventId;
        handle(JSON.parse(event.data));
      });
    }
  }

  async function reopen() {
    try {
      await api("GET", "/api/v1/me"); // leads to the log-in page when the session is over
    } catch (error) {
      if (error.status === 401) return;
    }
    open();
  }

  function close() {
    source?.close();
    source = null;
  }

  function onVisibility() {
    clearTimeout(hiddenTimer);
    if (document.visibilityState === "hidden") {
      if (whenHidden === "close") {
        hiddenTimer = setTimeout(() => {
          clearTimeout(timer);
          close();
        }, HIDDEN_GRACE);
      }
    } else if (!source) {
      failures = 0;
      open();
    }
  }

  document.addEventListener("visibilitychange", onVisibility);
  addEventListener("pagehide", close);
  addEventListener("pageshow", onVisibility);
  open();

  return () => {
    stopped = true;
    clearTimeout(timer);
    clearTimeout(hiddenTimer);
    document.removeEventListener("visibilitychange", onVisibility);
    close();
  };
}
