// Parts of a page, rendered by the server and put in place without disturbing what somebody is doing.
//   const fresh = await fetchPart("/desk/parts/items/7");    throws ApiError; leads to the log-in page if need be
//   patchRegions(present, fresh)     every [data-region] takes the new content, only where it differs
//   patchRows(list, freshList)       rows by data-key: kept, changed, moved, added, removed; focus stays

import { ApiError, goToLogin } from "../api.js";
import { writeClocks, writeWaits } from "./times.js";

export async function fetchPart(path, { signal } = {}) {
  let response;
  try {
    response = await fetch(path, {
      headers: { Accept: "text/html" },
      credentials: "same-origin",
      redirect: "manual",
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { code: "offline", message: "NADIA cannot be reached", hint: "what you typed is kept" });
  }
  if (response.type === "opaqueredirect" || response.status === 401) {
    goToLogin();
    throw new DOMException("on the way to the log-in page", "AbortError");
  }
  if (!response.ok) {
    throw new ApiError(response.status, {
      code: `http_${response.status}`,
      message: response.status === 404 ? "this conversation does not exist" : "the desk cannot be read at the moment",
    });
  }
  const template = document.createElement("template");
  template.innerHTML = await response.text();
  return template.content.firstElementChild;
}

export function patchRegions(present, fresh) {
  copyData(present, fresh);
  for (const region of fresh.querySelectorAll("[data-region]")) {
    const old = present.querySelector(`[data-region="${region.dataset.region}"]`);
    if (old) patchRegion(old, region);
  }
  writeClocks(present);
  writeWaits(present);
}

// What the server said last for an element. The page itself cannot tell: scripts write local times into it.
const lastSaid = new WeakMap();

function patchRegion(old, region) {
  const said = region.innerHTML;
  copyData(old, region);
  if (lastSaid.get(old) === said) return;
  lastSaid.set(old, said);
  old.replaceChildren(...region.childNodes);
}

function copyData(present, fresh) {
  for (const [name, value] of Object.entries(fresh.dataset)) present.dataset[name] = value;
}

export function patchRows(list, freshList) {
  const present = new Map([...list.children].map((row) => [row.dataset.key, row]));
  const added = [];
  let place = list.firstElementChild;
  for (const fresh of [...freshList.children]) {
    const said = fresh.outerHTML;
    const row = present.get(fresh.dataset.key) ?? fresh;
    present.delete(fresh.dataset.key);
    if (row === fresh) added.push(fresh.dataset.key);
    else if (lastSaid.get(row) !== said) renewRow(row, fresh);
    lastSaid.set(row, said);
    if (row === place) place = place.nextElementSibling;
    else list.insertBefore(row, place);
  }
  for (const gone of present.values()) gone.remove();
  writeClocks(list);
  writeWaits(list);
  return added;
}

// The link itself stays, and with it focus, the pointer's hover and the mark of the open row.
function renewRow(row, fresh) {
  const link = row.querySelector("a");
  const freshLink = fresh.querySelector("a");
  link.replaceChildren(...freshLink.childNodes);
  const tail = fresh.querySelector("[data-row-tail]");
  row.querySelector("[data-row-tail]")?.replaceWith(tail ?? "");
  copyData(row, fresh);
}
