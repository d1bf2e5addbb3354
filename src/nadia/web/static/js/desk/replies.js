// Saved replies: search, nearest first, one key to insert.

import { api, showError } from "../api.js";

const WAIT = 150;

export function createReplies({ onPick }) {
  const dialog = document.getElementById("dialog-replies");
  const search = dialog.querySelector("[data-search]");
  const list = dialog.querySelector("[data-replies]");
  const empty = dialog.querySelector("[data-none]");
  let near = "";
  let timer = 0;
  let asked = 0;

  async function load() {
    const turn = ++asked;
    const words = search.value.trim() || near;
    const query = words ? `?near=${encodeURIComponent(words.slice(0, 500))}` : "";
    try {
      const { replies } = await api("GET", `/api/v1/desk/saved-replies${query}`);
      if (turn === asked) show(replies);
    } catch (error) {
      showError(error);
    }
  }

  function show(replies) {
    list.replaceChildren(...replies.map(optionOf));
    empty.hidden = replies.length > 0;
    select(0);
  }

  function optionOf(reply, index) {
    const option = document.createElement("li");
    option.id = `reply-${index}`;
    option.role = "option";
    option.className = "reply-option";
    const title = option.appendChild(document.createElement("strong"));
    title.textContent = reply.title;
    if (reply.score !== null) {
      const score = option.appendChild(document.createElement("span"));
      score.className = "soft number";
      score.textContent = `${Math.round(reply.score * 100)} %`;
    }
    const text = option.appendChild(document.createElement("span"));
    text.className = "reply-text";
    text.dir = "auto";
    text.textContent = reply.text;
    option.addEventListener("click", () => pick(reply));
    option.addEventListener("pointermove", () => select(index));
    options.set(option, reply);
    return option;
  }
  const options = new WeakMap();

  function select(index) {
    const all = [...list.children];
    const place = Math.min(all.length - 1, Math.max(0, index));
    all.forEach((option, at) => option.setAttribute("aria-selected", String(at === place)));
    if (all[place]) {
      search.setAttribute("aria-activedescendant", all[place].id);
      all[place].scrollIntoView({ block: "nearest" });
    } else search.removeAttribute("aria-activedescendant");
  }

  const selected = () => [...list.children].findIndex((option) => option.getAttribute("aria-selected") === "true");

  function pick(reply) {
    dialog.close();
    onPick(reply.text);
  }

  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(load, WAIT);
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") select(selected() + 1);
    else if (event.key === "ArrowUp") select(selected() - 1);
    else if (event.key === "Enter" && !event.isComposing) {
      const option = list.children[selected()];
      if (option) pick(options.get(option));
    } else return;
    event.preventDefault();
  });

  return (text) => {
    near = text;
    search.value = "";
    list.replaceChildren();
    empty.hidden = true;
    dialog.showModal();
    search.focus();
    load();
  };
}
