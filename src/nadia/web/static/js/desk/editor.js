// The reply as it is being written: bubbles, their lengths, the difference to what it started from. What somebody
// typed is kept by this tab under the batch and the text it started from, until it is of no use any more.

import { countWords, diffBubbles, hiddenCharacters, joinBubbles, LONGEST, MOST_BUBBLES, splitBubbles } from "./text.js";

const PREFIX = "nadia.desk.text.";
const MOST_KEPT = 60;

export function createEditor(form, { onTouched, onReplaced }) {
  const area = form.querySelector("[data-text]");
  const summary = form.querySelector("[data-summary]");
  const problemLine = form.querySelector("[data-problem]");
  const hidden = form.querySelector("[data-hidden-characters]");
  const preview = form.parentElement.querySelector("[data-preview]");
  const previewList = preview.querySelector("ol");
  const previewTitle = preview.querySelector("[data-preview-title]");
  const notice = form.querySelector("[data-new-start]");
  const mark = form.querySelector("[data-new-mark]");
  let key = "";
  let start = "";
  let startName = "the draft";
  let draft = null; // the id of the draft that was the newest when this start was shown
  let disclosure = null;
  let waiting = null; // a newer start that came while somebody was typing
  let frame = 0;

  const edited = () => joinBubbles(splitBubbles(area.value)) !== start;

  // `said`: { batch, start: key of what it starts from, draft, text, name, disclosure, readOnly }
  function show(said) {
    const next = `${said.batch}.${said.start}`;
    const sameBatch = key.split(".")[0] === String(said.batch);
    const text = joinBubbles(splitBubbles(said.text));
    disclosure = said.disclosure;
    area.readOnly = said.readOnly;
    if (next !== key) {
      if (sameBatch && edited() && area.value.trim() !== "") {
        waiting = { key: next, text, name: said.name, draft: said.draft };
      } else {
        begin(next, text, said, stored(next) ?? text);
        if (sameBatch) {
          mark.textContent = said.name === "the draft" ? "New draft" : `Now ${said.name}`;
          onReplaced();
        }
      }
    }
    notice.hidden = waiting === null || waiting.key !== next;
    write();
  }

  function begin(next, text, said, value) {
    key = next;
    start = text;
    ({ name: startName, draft } = said);
    waiting = null;
    mark.textContent = "";
    notice.hidden = true;
    area.value = value;
    keep();
    write();
  }

  function keep() {
    try {
      if (!edited()) sessionStorage.removeItem(PREFIX + key);
      else sessionStorage.setItem(PREFIX + key, JSON.stringify({ text: area.value, at: Date.now() }));
      dropOldest();
    } catch {
      // storage is full or off: the text stands in the page
    }
  }

  function bubbles() {
    const own = splitBubbles(area.value);
    return disclosure === null ? own : [disclosure, ...own];
  }

  function problem() {
    const own = splitBubbles(area.value);
    const offset = disclosure === null ? 1 : 2;
    const long = own.findIndex((bubble) => bubble.length > LONGEST);
    if (own.length === 0) return "Write a reply first.";
    if (long >= 0) return `Message ${long + offset} has ${number(own[long].length)} characters; Telegram takes ${number(LONGEST)}.`;
    if (bubbles().length > MOST_BUBBLES) return `These are ${bubbles().length} messages; at most ${MOST_BUBBLES} go out at once.`;
    return "";
  }

  function write() {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => {
      const own = splitBubbles(area.value);
      const longest = Math.max(0, ...own.map((bubble) => bubble.length));
      const count = bubbles().length;
      const parts = [count === 1 ? "1 message" : `${count} messages`];
      parts.push(own.length > 1 ? `longest ${number(longest)} of ${number(LONGEST)}` : `${number(longest)} of ${number(LONGEST)}`);
      const changed = own.length > 0 && start !== "" && edited();
      const pieces = changed ? diffBubbles(start, joinBubbles(own)) : own.map((text) => [{ kind: "same", text }]);
      if (changed) {
        const added = countWords(pieces.flat(), "added");
        const removed = countWords(pieces.flat(), "removed");
        parts.push(`${added} added, ${removed} removed`);
      }
      summary.textContent = own.length > 0 ? parts.join(" · ") : "Nothing written yet";
      form.dataset.edited = String(changed);
      const unseen = hiddenCharacters(area.value);
      const warning = unseen.length > 0 ? `This reply holds characters that nobody sees: ${unseen.join(", ")}.` : "";
      if (hidden.textContent !== warning) hidden.textContent = warning;
      hidden.hidden = warning === "";
      const trouble = own.length === 0 ? "" : problem();
      showProblem(trouble);
      preview.hidden = own.length < 2 && !changed;
      previewTitle.textContent = changed ? `Goes out as, with the changes to ${startName}` : "Goes out as";
      if (!preview.hidden) previewList.replaceChildren(...pieces.map(bubbleOf));
    });
  }

  function showProblem(text) {
    problemLine.textContent = text;
    problemLine.hidden = text === "";
    area.setAttribute("aria-invalid", String(text !== ""));
  }

  function insert(text) {
    const [from, to] = [area.selectionStart, area.selectionEnd];
    const before = area.value.slice(0, from).trimEnd();
    const after = area.value.slice(to).trimStart();
    const joined = [before, text, after].filter((part) => part !== "").join("\n\n");
    area.focus();
    // as if it had been typed, so that the browser's own undo takes it back
    area.select();
    if (!document.execCommand("insertText", false, joined)) area.value = joined;
    const end = (before ? before.length + 2 : 0) + text.length;
    area.setSelectionRange(end, end);
    onInput();
  }

  function onInput() {
    mark.textContent = "";
    keep();
    write();
    onTouched(true);
  }

  area.addEventListener("input", onInput);
  area.addEventListener("focus", () => onTouched(false));
  notice.addEventListener("click", (event) => {
    const choice = event.target.closest("[data-choice]")?.dataset.choice;
    if (!choice || !waiting) return;
    const { key: next, text } = waiting;
    begin(next, text, waiting, choice === "new" ? text : area.value);
    // whoever keeps their own text has not said that it answers what came in since
    if (choice === "new") onReplaced();
    area.focus();
  });

  return {
    show,
    bubbles,
    problem,
    showProblem,
    insert,
    edited,
    draft: () => draft,
    inUse: () => !area.readOnly && (document.activeElement === area || (edited() && area.value.trim() !== "")),
    focus: () => area.focus(),
    isEmpty: () => area.value.trim() === "",
    revert() {
      begin(key, start, { name: startName, draft }, start);
      area.focus();
    },
    forget(batch) {
      for (const name of keptNames()) if (name.startsWith(`${PREFIX}${batch}.`)) sessionStorage.removeItem(name);
    },
  };
}

function bubbleOf(pieces) {
  const bubble = document.createElement("li");
  bubble.className = "bubble out diff";
  bubble.dir = "auto";
  for (const { kind, text } of pieces) {
    if (kind === "same") bubble.append(text);
    else {
      const element = document.createElement(kind === "added" ? "ins" : "del");
      const hint = document.createElement("span");
      hint.className = "visually-hidden";
      hint.textContent = kind === "added" ? "[added:] " : "[removed:] ";
      element.append(hint, text);
      bubble.append(element);
    }
  }
  return bubble;
}

function stored(key) {
  try {
    return JSON.parse(sessionStorage.getItem(PREFIX + key) ?? "null")?.text ?? null;
  } catch {
    return null;
  }
}

function keptNames() {
  return Object.keys(sessionStorage).filter((name) => name.startsWith(PREFIX));
}

function dropOldest() {
  const names = keptNames();
  if (names.length <= MOST_KEPT) return;
  const at = (name) => JSON.parse(sessionStorage.getItem(name))?.at ?? 0;
  names.sort((a, b) => at(a) - at(b));
  for (const name of names.slice(0, names.length - MOST_KEPT)) sessionStorage.removeItem(name);
}

function number(value) {
  return value.toLocaleString();
}
