// One's own account.

import { api, attempt } from "./api.js";
import { copyText, onSubmit, openDialog } from "./form.js";
import { toast } from "./toast.js";

const byId = (id) => document.getElementById(id);
const form = (id) => byId(id).querySelector("form");

for (const button of document.querySelectorAll("[data-open]")) {
  button.addEventListener("click", () => openDialog(byId(button.dataset.open)));
}

onSubmit(byId("password-form"), async ({ current_password = "", new_password }) => {
  await api("PUT", "/api/v1/me/password", { current_password, new_password });
  byId("password-form").reset();
  toast("Password changed", { tone: "good", hint: "Your other sessions have ended." });
});

// Second factor: password, key, first code, recovery codes.
onSubmit(byId("enrol-form"), async ({ password = "" }) => {
  const { secret, uri } = await api("POST", "/api/v1/me/second-factor", { password });
  byId("enrol-secret").textContent = secret.match(/.{1,4}/g).join(" ");
  byId("enrol-uri").href = uri;
  byId("enrol-form").hidden = true;
  byId("confirm-form").hidden = false;
  byId("confirm-form").elements.code.focus();
});
byId("enrol-dialog").addEventListener("close", () => {
  byId("enrol-secret").textContent = "";
  byId("enrol-form").hidden = false;
  byId("confirm-form").hidden = true;
});
onSubmit(byId("confirm-form"), async ({ code }) => {
  const { codes } = await api("PUT", "/api/v1/me/second-factor", { code });
  byId("enrol-dialog").close();
  await showCodes(codes);
});
onSubmit(form("renew-dialog"), async ({ code }) => {
  const { codes } = await api("POST", "/api/v1/me/recovery-codes", { code });
  byId("renew-dialog").close();
  await showCodes(codes);
});
onSubmit(form("remove-dialog"), async ({ code }) => {
  await api("POST", "/api/v1/me/second-factor/removal", { code });
  location.reload();
});

async function showCodes(codes) {
  byId("codes").replaceChildren(
    ...codes.map((code) => {
      const item = document.createElement("li");
      item.textContent = code;
      return item;
    }),
  );
  await openDialog(byId("codes-dialog"));
  location.reload();
}
byId("copy-codes").addEventListener("click", () => {
  copyText([...byId("codes").children].map((item) => item.textContent).join("\n"));
});

// Sessions and tokens
byId("end-sessions")?.addEventListener("click", () =>
  attempt(async () => {
    await api("DELETE", "/api/v1/me/sessions");
    location.reload();
  }),
);
onSubmit(byId("token-form"), async ({ name, role }) => {
  const { secret } = await api("POST", "/api/v1/me/tokens", { name, role });
  byId("token-secret").textContent = secret;
  byId("token-form").hidden = true;
  byId("token-made").hidden = false;
  byId("token-dialog").addEventListener("close", () => location.reload(), { once: true });
});
for (const button of document.querySelectorAll("[data-revoke]")) {
  button.addEventListener("click", () =>
    attempt(async () => {
      await api("DELETE", `/api/v1/me/tokens/${button.dataset.revoke}`);
      location.reload();
    }),
  );
}
