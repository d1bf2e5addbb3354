// What a reviewer writes, as bubbles, and how it differs from the draft. No page here: plain functions.

export const LONGEST = 4096; // UTF-16 units, which is what String.length counts and Telegram allows
export const MOST_BUBBLES = 10;

// A blank line separates bubbles.
export function splitBubbles(text) {
  return text
    .replace(/\r\n?/g, "\n")
    .split(/\n[^\S\n]*\n\s*/)
    .map((bubble) => bubble.trim())
    .filter((bubble) => bubble !== "");
}

export function joinBubbles(bubbles) {
  return bubbles.join("\n\n");
}

const TOKENS = /\n[^\S\n]*\n\s*|\s+|[\p{L}\p{N}\p{M}'’_-]+|\p{Extended_Pictographic}(?:[\u200d\ufe0f\p{M}\p{Emoji_Modifier}\p{Extended_Pictographic}])*|./gsu;
const BREAK = /^\n[^\S\n]*\n\s*$/;
const MOST_CELLS = 4_000_000;

// Returns pieces [{ kind: "same" | "added" | "removed", text }], whose same+added make up `after`.
export function wordDiff(before, after) {
  const a = before.match(TOKENS) ?? [];
  const b = after.match(TOKENS) ?? [];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  const middle = alignTokens(a.slice(start, a.length - end), b.slice(start, b.length - end));
  const same = (tokens) => tokens.map((text) => ({ kind: "same", text }));
  return tidy([...same(a.slice(0, start)), ...middle, ...same(a.slice(a.length - end))]);
}

// The longest common subsequence; texts of a size that would make typing slow are shown as replaced whole.
function alignTokens(a, b) {
  const removed = (text) => ({ kind: "removed", text });
  const added = (text) => ({ kind: "added", text });
  if (a.length * b.length > MOST_CELLS) return [...a.map(removed), ...b.map(added)];
  const width = b.length + 1;
  const lengths = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      const below = lengths[(i + 1) * width + j];
      const right = lengths[i * width + j + 1];
      lengths[i * width + j] = a[i] === b[j] ? lengths[(i + 1) * width + j + 1] + 1 : Math.max(below, right);
    }
  }
  const pieces = [];
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) {
      pieces.push({ kind: "same", text: a[i] });
      i++;
      j++;
    } else if (lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) pieces.push(removed(a[i++]));
    else pieces.push(added(b[j++]));
  }
  return [...pieces, ...a.slice(i).map(removed), ...b.slice(j).map(added)];
}

// A space that two changed words have in common is no island worth showing: it joins the change.
function tidy(tokens) {
  const pieces = [];
  let removed = "";
  let added = "";
  const flush = () => {
    if (removed) pieces.push({ kind: "removed", text: removed });
    if (added) pieces.push({ kind: "added", text: added });
    removed = added = "";
  };
  tokens.forEach((token, index) => {
    if (token.kind === "removed") removed += token.text;
    else if (token.kind === "added") added += token.text;
    else if (removed && added && /^[^\S\n]+$/.test(token.text) && changesAgain(tokens, index)) {
      removed += token.text;
      added += token.text;
    } else {
      flush();
      const last = pieces.at(-1);
      if (last?.kind === "same") last.text += token.text;
      else pieces.push({ ...token });
    }
  });
  flush();
  return pieces;
}

function changesAgain(tokens, index) {
  return index + 1 < tokens.length && tokens[index + 1].kind !== "same";
}

// Cuts the pieces where the resulting text has its blank lines: one list of pieces for each bubble.
export function diffBubbles(before, after) {
  const bubbles = [[]];
  for (const piece of wordDiff(before, after)) {
    for (const text of piece.text.split(/(\n[^\S\n]*\n\s*)/)) {
      if (text === "") continue;
      if (!BREAK.test(text)) bubbles.at(-1).push({ kind: piece.kind, text });
      else if (piece.kind !== "removed") bubbles.push([]);
      else bubbles.at(-1).push({ kind: "removed", text: " ¶ " });
    }
  }
  return bubbles.filter((pieces) => pieces.some(({ text }) => text.trim() !== ""));
}

export function countWords(pieces, kind) {
  return pieces
    .filter((piece) => piece.kind === kind)
    .reduce((sum, piece) => sum + (piece.text.match(/[\p{L}\p{N}]+/gu)?.length ?? 0), 0);
}

const HIDDEN = /[\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0]/u;
const SEEN_FORMAT = /[\t\n\r\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u{110bd}\u{110cd}]/u;
const JOINERS = "\u200c\u200d";
const VIRAMA = /[\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0dca]/u;
const JOINS_NOTHING = /[\0-\x7f\p{Cf}\p{Zs}]/u;
const FLAG = /\u{1f3f4}[\u{e0020}-\u{e007f}]+/gu;

// Returns the characters of a text that nobody can see, as "U+202E", each once: as web/legible.py marks them.
export function hiddenCharacters(text) {
  const all = [...text.replace(FLAG, "🏴")];
  const hides = (character, at) => {
    if (!HIDDEN.test(character) || SEEN_FORMAT.test(character)) return false;
    if (!JOINERS.includes(character)) return true;
    const [before, after] = [all[at - 1] ?? " ", all[at + 1] ?? " "];
    return !VIRAMA.test(before) && (JOINS_NOTHING.test(before) || JOINS_NOTHING.test(after));
  };
  return [...new Set(all.filter(hides))].map((one) => `U+${one.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`);
}
