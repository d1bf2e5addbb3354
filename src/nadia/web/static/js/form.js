// Forms and dialogs.
//   onSubmit(form, async (values) => { await api("POST", url, values); })   errors go to their field, or to a toast
//   openDialog(dialog)     [data-close] inside closes it; resolves when it is closed
//   [data-copy] beside a <code> in .secret copies it

import { ApiError, sentence, showError } from "./api.js";
import { toast } from "./toast.js";

export function onSubmit(form, action, { onError = () => false } = {}) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector('[type="submit"]');
    if (button.getAttribute("aria-busy") === "true") return;
    clearErrors(form);
    if (!checkRequired(form)) return;
    button.setAttribute("aria-busy", "true");
    try {
      await action(Object.fromEntries(new FormData(form)));
    } catch (error) {
      if (!onError(error) && !showFieldError(form, error)) showError(error);
    } finally {
      button.removeAttribute("aria-busy");
    }
  });
}

export function clearErrors(form) {
  for (const field of form.querySelectorAll(".field")) {
    const message = field.querySelector(".field-error");
    if (message) message.hidden = true;
    field.querySelector("[aria-invalid]")?.removeAttribute("aria-invalid");
  }
}

export function showFieldProblem(form, name, text) {
  const field = form.querySelector(`.field[data-field="${CSS.escape(name)}"]`);
  const message = field?.querySelector(".field-error");
  if (!message) return false;
  const input = field.querySelector("input, select, textarea");
  message.textContent = text;
  message.hidden = false;
  input.setAttribute("aria-invalid", "true");
  input.focus();
  return true;
}

function showFieldError(form, error) {
  if (!(error instanceof ApiError) || !error.field) return false;
  const text = [sentence(error.message), sentence(error.hint ?? "")].filter(Boolean).join(". ");
  return showFieldProblem(form, error.field, text);
}

function checkRequired(form) {
  for (const input of form.querySelectorAll("input[required]")) {
    if (input.offsetParent === null || input.value) continue;
    return !showFieldProblem(form, input.name, "Please fill this in");
  }
  return true;
}

export function openDialog(dialog) {
  return new Promise((resolve) => {
    const form = dialog.querySelector("form");
    if (form) {
      form.reset();
      clearErrors(form);
    }
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
    dialog.showModal();
  });
}

export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied", { tone: "good", seconds: 2 });
  } catch {
    toast("The browser does not let us copy", { tone: "warn", hint: "Select the text and copy it yourself." });
  }
}

document.addEventListener("click", (event) => {
  const closing = event.target.closest("[data-close]");
  if (closing) closing.closest("dialog").close();
  const copying = event.target.closest(".secret [data-copy]");
  if (copying) copyText(copying.closest(".secret").querySelector("code").textContent);
});
