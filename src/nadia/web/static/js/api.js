// The JSON API as functions.
//   const items = await api("GET", "/api/v1/accounts");            throws ApiError
//   await attempt(() => api("DELETE", url), "Deleted");            shows errors as toasts, returns undefined then
// A page that outlives its session's token gets a new one by itself, unless somebody else has logged in meanwhile.

import { toast } from "./toast.js";

export class ApiError extends Error {
  constructor(status, { code, message, field = null, hint = null }) {
    super(message);
    this.status = status;
    this.code = code;
    this.field = field;
    this.hint = hint;
  }
}

const OFFLINE = { code: "offline", message: "NADIA cannot be reached", hint: "check the connection; it goes on as soon as it is back" };

export async function api(method, path, body, { signal } = {}) {
  let response = await send(method, path, body, signal);
  if (response.status === 403) {
    const problem = await readError(response.clone());
    if (problem.code === "csrf" && (await renewToken())) response = await send(method, path, body, signal);
  }
  if (response.ok) return response.status === 204 ? null : response.json();
  const error = new ApiError(response.status, await readError(response));
  if (error.status === 401 && error.code === "unauthenticated" && account()) goToLogin();
  throw error;
}

export async function attempt(action, done = "") {
  try {
    const result = await action();
    if (done) toast(done, { tone: "good" });
    return result;
  } catch (error) {
    showError(error);
    return undefined;
  }
}

export function showError(error) {
  if (error instanceof ApiError) toast(sentence(error.message), { tone: "bad", hint: sentence(error.hint ?? "") });
  else if (error?.name !== "AbortError") {
    console.error(error);
    toast("Something went wrong on this page", { tone: "bad", hint: "Reload it and try again." });
  }
}

export function goToLogin() {
  const next = encodeURIComponent(location.pathname + location.search);
  location.assign(`/login?next=${next}&reason=ended`);
}

export function sentence(text) {
  return text ? text[0].toUpperCase() + text.slice(1) : text;
}

function account() {
  return document.querySelector('meta[name="account"]')?.content ?? "";
}

async function send(method, path, body, signal) {
  const headers = { Accept: "application/json" };
  const token = document.querySelector('meta[name="csrf-token"]')?.content;
  if (token) headers["X-CSRF-Token"] = token;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  try {
    return await fetch(path, {
      method,
      headers,
      signal,
      credentials: "same-origin",
      redirect: "error",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, OFFLINE);
  }
}

async function readError(response) {
  try {
    return (await response.json()).error;
  } catch {
    return { code: `http_${response.status}`, message: `the server answered ${response.status}` };
  }
}

async function renewToken() {
  const response = await send("GET", "/api/v1/me");
  if (!response.ok) return false;
  const me = await response.json();
  if (me.name !== account()) return false;
  document.querySelector('meta[name="csrf-token"]').content = me.csrf_token;
  return true;
}
