// A customer's phone: writes, edits and deletes in their name, and shows what the desk does. One customer per window.

import { api, ApiError, attempt, sentence, showError } from "./api.js";
import { live } from "./live.js";

const TYPING_SIGNAL = 6000; // how long a signal is good for, here and at the desk
const TYPING_EVERY = 4000;

// What can be sent besides text. There are no files here: the desk is told what Telegram would tell it of one.
const ATTACHMENTS = {
  photo: { mime_type: "image/jpeg", size: 184_320 },
  voice: { mime_type: "audio/ogg", duration: 12, size: 48_000 },
  sticker: { mime_type: "image/webp", emoji: "👍" },
  document: { name: "invoice.pdf", mime_type: "application/pdf", size: 120_000 },
};
const KINDS = {
  photo: "Photo",
  voice: "Voice message",
  video: "Video",
  sticker: "Sticker",
  document: "Document",
  location: "Location",
  contact: "Contact",
};

const root = document.querySelector("[data-sandbox]");
const newCustomer = root.querySelector("[data-new-customer]");

newCustomer.addEventListener("submit", async (event) => {
  event.preventDefault();
  const problem = newCustomer.querySelector("[data-problem]");
  try {
    const made = await api("POST", "/api/v1/sandbox/customers", { name: newCustomer.elements.name.value.trim() });
    location.assign(`/sandbox?customer=${made.user_id}`);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    problem.textContent = sentence(error.message);
    problem.hidden = false;
  }
});

if (root.dataset.customer) openChat(Number(root.dataset.customer));

function openChat(customer) {
  const base = `/api/v1/sandbox/customers/${customer}`;
  const scroll = root.querySelector("[data-scroll]");
  const list = root.querySelector("[data-chat]");
  const empty = root.querySelector("[data-empty]");
  const earlier = root.querySelector("[data-earlier]");
  const typing = root.querySelector("[data-typing]");
  const presence = root.querySelector("[data-presence]");
  const composer = root.querySelector("[data-composer]");
  const text = composer.querySelector("[data-text]");
  const editing = composer.querySelector("[data-editing]");
  const attach = composer.querySelector("[data-attach]");
  const shown = new Map(); // message id -> its element
  let readUpTo = 0;
  let editedId = null;
  let typingTimer = 0;
  let signalledAt = 0;
  let sending = Promise.resolve();

  // What is known of the chat

  async function load(before) {
    const query = before ? `?before=${before}` : "";
    const { messages } = await api("GET", `${base}/messages${query}`);
    const atEnd = isAtEnd();
    const known = new Set(messages.map((message) => message.message_id));
    if (!before && messages.length > 0) {
      // deleted while this window was away
      for (const id of shown.keys()) if (id >= messages[0].message_id && !known.has(id)) remove(id);
    }
    const height = scroll.scrollHeight;
    for (const message of messages) put(message);
    earlier.hidden = messages.length < 100;
    tidy();
    if (before) scroll.scrollTop += scroll.scrollHeight - height;
    else if (atEnd) toEnd();
  }

  function put(message) {
    const element = shown.get(message.message_id) ?? newElement(message);
    element.dataset.kind = message.kind;
    write(element, message.text, kindOf(message));
    element.dataset.edited = message.edited_at ? "true" : "";
    writeNote(element);
    if (message.outgoing) {
      readUpTo = Math.max(readUpTo, message.message_id);
      stopTyping();
    }
    return element;
  }

  function newElement(message) {
    const element = said(message.text, { mine: !message.outgoing, at: message.sent_at });
    element.dataset.id = message.message_id;
    shown.set(message.message_id, element);
    const next = [...list.children].find((other) => !other.dataset.id || Number(other.dataset.id) > message.message_id);
    list.insertBefore(element, next ?? null);
    return element;
  }

  function said(words, { mine, at, kind = "" }) {
    const element = document.createElement("li");
    element.className = "said";
    element.toggleAttribute("data-mine", mine);
    element.dataset.at = at;
    const body = element.appendChild(document.createElement("div"));
    body.className = "said-text";
    body.dir = "auto";
    write(element, words, kind);
    const note = element.appendChild(document.createElement("p"));
    note.className = "said-note";
    return element;
  }

  function write(element, words, kind) {
    const parts = [words];
    if (kind) {
      const name = document.createElement("span");
      name.className = "said-kind";
      name.textContent = kind;
      parts.unshift(name, words ? " " : "");
    }
    element.dataset.words = words;
    element.querySelector(".said-text").replaceChildren(...parts);
  }

  function kindOf({ kind, media }) {
    if (kind === "text") return "";
    return [KINDS[kind] ?? kind, media?.name ?? media?.emoji].filter(Boolean).join(" ");
  }

  function writeNote(element) {
    const note = element.querySelector(".said-note");
    const moment = new Date(element.dataset.at);
    const parts = [];
    if (element.hasAttribute("data-mine") && element.dataset.id) parts.push(tools());
    const words = document.createElement("span");
    words.className = "number";
    words.textContent = moment.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" }) + (element.dataset.edited ? ", edited" : "");
    parts.push(words);
    if (element.hasAttribute("data-mine")) parts.push(ticks(element));
    note.replaceChildren(...parts);
  }

  function ticks(element) {
    const mark = document.createElement("span");
    const read = Number(element.dataset.id) <= readUpTo;
    element.toggleAttribute("data-read", read && Boolean(element.dataset.id));
    mark.className = "ticks";
    mark.textContent = !element.dataset.id ? "…" : read ? "✓✓" : "✓";
    mark.setAttribute("role", "img");
    mark.setAttribute("aria-label", !element.dataset.id ? "on its way" : read ? "read" : "sent");
    return mark;
  }

  function tools() {
    const box = document.createElement("span");
    box.className = "said-tools";
    for (const name of ["Edit", "Delete"]) {
      const button = box.appendChild(document.createElement("button"));
      button.type = "button";
      button.dataset.tool = name.toLowerCase();
      button.textContent = name;
    }
    return box;
  }

  function remove(id) {
    shown.get(id)?.remove();
    shown.delete(id);
    if (editedId === id) stopEditing();
  }

  function tidy() {
    empty.hidden = list.children.length > 0;
    for (const element of list.querySelectorAll("[data-mine][data-id]")) {
      if (Number(element.dataset.id) <= readUpTo && !element.hasAttribute("data-read")) writeNote(element);
    }
  }

  const isAtEnd = () => scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;
  const toEnd = () => (scroll.scrollTop = scroll.scrollHeight);

  // What the desk does

  function stopTyping() {
    clearTimeout(typingTimer);
    typing.hidden = true;
  }

  function follow(change) {
    return (data) => {
      const atEnd = isAtEnd();
      change(data);
      tidy();
      if (atEnd) toEnd();
    };
  }

  live(
    `${base}/events`,
    {
      ready() {
        presence.textContent = "online";
        load().catch(showError);
      },
      away() {
        presence.textContent = "The sandbox does not answer; trying again…";
      },
      message: follow(({ message }) => put(message)),
      edited: follow((change) => {
        const element = shown.get(change.message_id);
        if (!element) return;
        write(element, change.text, element.querySelector(".said-kind")?.textContent ?? "");
        element.dataset.edited = "true";
        writeNote(element);
      }),
      deleted: follow(({ message_ids }) => message_ids.forEach(remove)),
      typing: follow(({ active }) => {
        stopTyping();
        if (!active) return;
        typing.hidden = false;
        typingTimer = setTimeout(stopTyping, TYPING_SIGNAL);
      }),
      read: follow(({ up_to }) => {
        readUpTo = Math.max(readUpTo, up_to);
      }),
    },
    {
      whenHidden: "keep",
      onState: (state) => {
        if (state === "waiting") presence.textContent = "Reconnecting…";
      },
    },
  );

  // What the customer does

  function signalTyping() {
    if (text.value.trim() === "" || performance.now() - signalledAt < TYPING_EVERY) return;
    signalledAt = performance.now();
    api("POST", `${base}/typing`).catch(() => {}); // a signal that is lost is not worth a word
  }

  // Messages leave one after the other, in the order in which they were written.
  function send(words, kind = "text") {
    const media = ATTACHMENTS[kind];
    const element = said(words, { mine: true, at: new Date().toISOString(), kind: kindOf({ kind, media }) });
    list.append(element);
    writeNote(element);
    tidy();
    toEnd();
    sending = sending.then(() => deliver(element, words, kind));
  }

  async function deliver(element, words, kind) {
    try {
      const attachment = ATTACHMENTS[kind];
      const message = await api("POST", `${base}/messages`, attachment ? { text: words, kind, attachment } : { text: words });
      element.remove();
      put(message);
    } catch (error) {
      element.dataset.state = "failed";
      const retry = document.createElement("button");
      retry.type = "button";
      retry.className = "button small";
      retry.textContent = "Try again";
      retry.addEventListener("click", () => {
        element.remove();
        send(words, kind);
      });
      element.querySelector(".said-note").replaceChildren(`${sentence(error.message)}. `, retry);
    }
    tidy();
    toEnd();
  }

  function startEditing(id) {
    editedId = id;
    editing.hidden = false;
    text.value = shown.get(id).dataset.words;
    text.focus();
  }

  function stopEditing() {
    editedId = null;
    editing.hidden = true;
    text.value = "";
  }

  composer.addEventListener("submit", (event) => {
    event.preventDefault();
    const words = text.value.trim();
    const captioned = editedId !== null && shown.get(editedId)?.dataset.kind !== "text";
    if (words === "" && !captioned) return;
    signalledAt = 0;
    if (editedId !== null) {
      const id = editedId;
      const same = words === shown.get(id)?.dataset.words;
      stopEditing();
      if (!same) attempt(() => api("PATCH", `${base}/messages/${id}`, { text: words }));
    } else {
      text.value = "";
      send(words);
    }
    text.focus();
  });
  text.addEventListener("input", signalTyping);
  text.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      composer.requestSubmit();
    } else if (event.key === "Escape" && editedId !== null) {
      stopEditing();
    } else if (event.key === "ArrowUp" && text.value === "") {
      const last = [...list.querySelectorAll("[data-mine][data-id]")].at(-1);
      if (!last) return;
      event.preventDefault();
      startEditing(Number(last.dataset.id));
    }
  });
  attach.addEventListener("click", (event) => {
    const kind = event.target.closest("[data-send]")?.dataset.send;
    if (!kind) return;
    attach.open = false;
    send(text.value.trim(), kind);
    text.value = "";
    text.focus();
  });
  attach.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !attach.open) return;
    attach.open = false;
    attach.querySelector("summary").focus();
  });
  document.addEventListener("click", (event) => {
    if (!attach.contains(event.target)) attach.open = false;
  });
  composer.querySelector("[data-cancel]").addEventListener("click", stopEditing);
  list.addEventListener("click", (event) => {
    const tool = event.target.closest("[data-tool]")?.dataset.tool;
    const id = Number(event.target.closest("[data-id]")?.dataset.id);
    if (tool === "edit") startEditing(id);
    else if (tool === "delete") attempt(() => api("DELETE", `${base}/messages/${id}`));
  });
  earlier.addEventListener("click", () => load(Math.min(...shown.keys())).catch(showError));
  text.focus();
}
