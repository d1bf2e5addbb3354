// The log-in page: a one-time link in the address, or name and password, then a code where one is needed.

import { api, ApiError, sentence } from "./api.js";
import { onSubmit } from "./form.js";

const page = document.getElementById("login");
const form = document.getElementById("login-form");
const notice = document.getElementById("login-notice");
const busy = document.getElementById("login-busy");
const codeField = document.getElementById("code-field");
const next = page.dataset.next || "/";

function explain(error) {
  notice.dataset.tone = "bad";
  notice.textContent = error instanceof ApiError
    ? [sentence(error.message), sentence(error.hint ?? "")].filter(Boolean).join(". ") + "."
    : "Something went wrong on this page. Reload it and try again.";
  notice.hidden = false;
}

if (new URLSearchParams(location.search).get("reason") === "ended") {
  notice.dataset.tone = "warn";
  notice.textContent = "Your session has ended. Log in again: what you typed on this tab is kept.";
  notice.hidden = false;
}

function wait(waiting) {
  busy.hidden = !waiting;
  form.hidden = waiting;
}

async function useLink(token) {
  wait(true);
  try {
    await api("POST", "/api/v1/session/link", { token });
    location.replace(next);
  } catch (error) {
    wait(false);
    explain(error);
  }
}

// Whoever comes from another site's link is not recognised at first (the cookie is for our own pages only).
async function goOnIfLoggedIn() {
  try {
    await api("GET", "/api/v1/me");
    location.replace(next);
  } catch {
    form.elements.name.focus();
  }
}

onSubmit(
  form,
  async ({ name, password, code }) => {
    notice.hidden = true;
    await api("POST", "/api/v1/session", { name: name.trim(), password, code: code.trim() || null });
    location.replace(next);
  },
  {
    onError(error) {
      if (error.code === "second_factor_required") {
        codeField.hidden = false;
        form.elements.code.required = true;
        form.elements.code.focus();
        return true;
      }
      if (error.field) return false;
      explain(error);
      if (codeField.hidden) form.elements.password.select();
      else form.elements.code.select();
      return true;
    },
  },
);

const token = new URLSearchParams(location.hash.slice(1)).get("token");
if (token) {
  // out of the address and the history before anything else
  history.replaceState(null, "", location.pathname + location.search);
  useLink(token);
} else {
  goOnIfLoggedIn();
}
// a link opened while this page is shown only changes the fragment
addEventListener("hashchange", () => location.reload());
