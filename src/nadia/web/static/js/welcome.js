// An invitation or reset link: choose a password.

import { api, ApiError, sentence } from "./api.js";
import { onSubmit, showFieldProblem } from "./form.js";

const form = document.getElementById("welcome-form");
const notice = document.getElementById("welcome-notice");

function explain(text) {
  notice.textContent = text;
  notice.hidden = false;
}

// Kept in this page only, so that reloading it still works but nothing else learns it.
const token = new URLSearchParams(location.hash.slice(1)).get("token");
if (!token) {
  form.hidden = true;
  explain("This page needs the link that you were given. Open it again, or ask an admin for a new one.");
} else {
  form.elements.password.focus();
}

onSubmit(
  form,
  async ({ password, repeat }) => {
    notice.hidden = true;
    if (password !== repeat) {
      showFieldProblem(form, "repeat", "This is not the same");
      return;
    }
    const { logged_in: loggedIn } = await api("POST", "/api/v1/session/password", { token, password });
    location.replace(loggedIn ? "/" : "/login");
  },
  {
    onError(error) {
      if (!(error instanceof ApiError) || error.status !== 401) return false;
      form.hidden = true;
      explain([sentence(error.message), sentence(error.hint ?? "")].filter(Boolean).join(". ") + ".");
      return true;
    },
  },
);
