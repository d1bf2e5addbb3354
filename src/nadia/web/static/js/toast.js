// Short notices in the corner.
//   toast("Saved")                        toast("Not sent", { tone: "bad", hint: "try again" })
//   toast("Approved", { action: "Undo", onAction: undo, seconds: 8 })   returns a function that takes it away

const DEFAULT_SECONDS = 5;
const MOST = 4;

export function toast(text, { tone = "", hint = "", action = "", onAction = null, seconds = null } = {}) {
  const box = boxInReach();
  const item = document.createElement("div");
  item.className = "toast";
  item.dataset.tone = tone;
  // errors interrupt a screen reader, the rest waits
  item.setAttribute("role", tone === "bad" ? "alert" : "status");
  const words = item.appendChild(document.createElement("div"));
  words.append(paragraph(text));
  if (hint) words.append(paragraph(hint));

  let timer = 0;
  const close = () => {
    clearTimeout(timer);
    item.remove();
  };
  if (action) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button small";
    button.textContent = action;
    button.addEventListener("click", () => {
      close();
      onAction?.();
    });
    item.append(button);
  }
  const dismiss = document.createElement("button");
  dismiss.type = "button";
  dismiss.className = "icon-button";
  dismiss.setAttribute("aria-label", "Dismiss");
  dismiss.textContent = "×";
  dismiss.addEventListener("click", close);
  item.append(dismiss);

  const life = (seconds ?? (tone === "bad" ? 2 * DEFAULT_SECONDS : DEFAULT_SECONDS)) * 1000;
  const arm = () => (timer = setTimeout(close, life));
  // somebody who reads it keeps it
  item.addEventListener("pointerenter", () => clearTimeout(timer));
  item.addEventListener("pointerleave", arm);
  item.addEventListener("focusin", () => clearTimeout(timer));
  arm();

  box.append(item);
  while (box.children.length > MOST) box.firstElementChild.remove();
  return close;
}

// What lies outside an open dialog can be neither seen well nor clicked: the box moves in, and out again with its end.
function boxInReach() {
  const box = document.getElementById("toasts");
  const dialog = document.activeElement?.closest("dialog[open]") ?? document.querySelector("dialog:modal");
  const host = dialog ?? document.body;
  if (box.parentElement !== host) {
    host.append(box);
    dialog?.addEventListener("close", () => document.body.append(box), { once: true });
  }
  return box;
}

function paragraph(text) {
  const element = document.createElement("p");
  element.textContent = text;
  return element;
}
