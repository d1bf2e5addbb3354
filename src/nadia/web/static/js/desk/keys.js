// Keys of the page. While somebody types, only those that say so act.
//   bindKeys({ j: () => …, "Ctrl+Enter": { whileTyping: true, run: () => … } })

const TYPING = "input:not([type=checkbox], [type=radio], [type=button]), textarea, select, [contenteditable]";

export function bindKeys(bindings) {
  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.defaultPrevented || event.altKey) return;
    const name = event.ctrlKey || event.metaKey ? `Ctrl+${event.key}` : event.key;
    const found = bindings[name];
    if (!found) return;
    const binding = typeof found === "function" ? { run: found } : found;
    if (event.repeat && !binding.repeats) return;
    // a dialog has the keyboard to itself
    if (document.querySelector("dialog[open]")) return;
    if (event.target.closest?.(TYPING) && !binding.whileTyping) return;
    if (binding.when && !binding.when(event)) return;
    if (binding.run(event) !== false) event.preventDefault();
  });
}
