// The accounts page: invite, hand over links, manage one account. The table is the server's; changes reload it.

import { api, attempt } from "./api.js";
import { onSubmit, openDialog } from "./form.js";
import { writeTimes } from "./shell.js";

const inviteDialog = document.getElementById("invite-dialog");
const linkDialog = document.getElementById("link-dialog");
const manageDialog = document.getElementById("manage-dialog");
const part = (dialog, name) => dialog.querySelector(`[${name}]`);

let managed = null;
let changed = false;

document.getElementById("invite").addEventListener("click", () => openDialog(inviteDialog));

onSubmit(inviteDialog.querySelector("form"), async ({ name, role }) => {
  const link = await api("POST", "/api/v1/accounts", { name: name.trim(), role });
  inviteDialog.close();
  await showLink(link);
  location.reload();
});

for (const button of document.querySelectorAll("[data-manage]")) {
  button.addEventListener("click", () => manage(Number(button.dataset.manage)));
}

async function manage(id) {
  await attempt(async () => {
    await load(id);
    changed = false;
    await openDialog(manageDialog);
    if (changed) location.reload();
  });
}

async function load(id) {
  const [accounts, tokens] = await Promise.all([
    api("GET", "/api/v1/accounts"),
    api("GET", `/api/v1/accounts/${id}/tokens`),
  ]);
  managed = accounts.find((account) => account.id === id);
  document.getElementById("manage-title").textContent = managed.name;
  part(manageDialog, "data-since").dateTime = managed.created_at;
  part(manageDialog, "data-sessions").textContent = managed.sessions;
  part(manageDialog, "data-factor").textContent = managed.has_second_factor ? "On" : "Off";
  document.getElementById("manage-role").value = managed.role;
  const can = {
    reset: managed.active,
    "end-sessions": managed.sessions > 0,
    "remove-factor": managed.has_second_factor,
    disable: managed.active,
    enable: !managed.active,
  };
  for (const [act, possible] of Object.entries(can)) {
    manageDialog.querySelector(`[data-act="${act}"]`).hidden = !possible;
  }
  showTokens(tokens);
  writeTimes(manageDialog);
}

function showTokens(tokens) {
  part(manageDialog, "data-tokens-section").hidden = tokens.length === 0;
  part(manageDialog, "data-tokens").replaceChildren(
    ...tokens.map((token) => {
      const item = document.createElement("li");
      item.append(`${token.name} (${token.role})`);
      const button = item.appendChild(document.createElement("button"));
      button.type = "button";
      button.className = "button small";
      button.textContent = "Revoke";
      button.addEventListener("click", () => alter("DELETE", `/tokens/${token.id}`, undefined, "Token revoked"));
      return item;
    }),
  );
}

async function alter(method, path, body, done) {
  await attempt(async () => {
    await api(method, `/api/v1/accounts/${managed.id}${path}`, body);
    changed = true;
  }, done);
  // also after a refusal: the dialog shows what is
  await attempt(() => load(managed.id));
}

async function showLink(link) {
  part(linkDialog, "data-name").textContent = link.account.name;
  part(linkDialog, "data-url").textContent = link.url;
  part(linkDialog, "data-until").dateTime = link.expires_at;
  writeTimes(linkDialog);
  await openDialog(linkDialog);
  part(linkDialog, "data-url").textContent = "";
}

const ACTS = {
  reset: () => attempt(async () => showLink(await api("POST", `/api/v1/accounts/${managed.id}/reset`))),
  "end-sessions": () => alter("DELETE", "/sessions", undefined, "Sessions ended"),
  "remove-factor": () => alter("DELETE", "/second-factor", undefined, "Second factor removed"),
  disable: () => alter("PATCH", "", { active: false }, "Disabled"),
  enable: () => alter("PATCH", "", { active: true }, "Enabled"),
};

for (const button of manageDialog.querySelectorAll("[data-act]")) {
  button.addEventListener("click", () => ACTS[button.dataset.act]());
}
document.getElementById("manage-role").addEventListener("change", (event) => {
  alter("PATCH", "", { role: event.target.value }, "Role changed");
});
