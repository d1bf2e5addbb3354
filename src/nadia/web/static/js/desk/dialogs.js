// Dialogs that ask and answer. The browser's own <dialog> keeps focus inside and gives it back.
//   const answer = await ask("reject")     the form's values by name, or null when somebody changed their mind

const SETTLE = 500; // ms; the second half of a double Ctrl+Enter answers nothing

const asking = new WeakMap(); // what ends the question that a dialog asks

export function ask(name, { prepare } = {}) {
  const dialog = document.getElementById(`dialog-${name}`);
  const form = dialog.querySelector("form");
  asking.get(dialog)?.(null);
  form.reset();
  prepare?.(dialog);
  delete dialog.dataset.settled;
  const settling = setTimeout(() => (dialog.dataset.settled = "true"), SETTLE);
  return new Promise((resolve) => {
    const finish = (answer) => {
      clearTimeout(settling);
      form.removeEventListener("submit", onSubmit);
      dialog.removeEventListener("close", onClose);
      form.removeEventListener("keydown", onKey);
      asking.delete(dialog);
      resolve(answer);
    };
    const onSubmit = (event) => {
      event.preventDefault();
      const values = Object.fromEntries(new FormData(form, event.submitter ?? undefined));
      finish(values);
      dialog.close();
    };
    // Browsers tell of a closing a little later: by then the dialog may be open again, with another question.
    const onClose = () => dialog.open || finish(null);
    const onKey = (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.repeat) {
        event.preventDefault();
        if (dialog.dataset.settled !== "true") return;
        form.requestSubmit(form.querySelector("[data-default]"));
      }
    };
    form.addEventListener("submit", onSubmit);
    form.addEventListener("keydown", onKey);
    dialog.addEventListener("close", onClose);
    asking.set(dialog, finish);
    dialog.showModal();
  });
}

export function openSheet(name) {
  document.getElementById(`dialog-${name}`).showModal();
}

document.addEventListener("click", (event) => {
  const closer = event.target.closest("[data-close]");
  if (closer) closer.closest("dialog").close();
  else if (event.target instanceof HTMLDialogElement && isOutside(event, event.target)) event.target.close();
});

function isOutside(event, dialog) {
  const box = dialog.getBoundingClientRect();
  return event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom;
}
