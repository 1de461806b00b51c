
"use strict";
// Opens what is sealed in a tenant's page (quorum/pages/sealing.py). The key stays in this window.
const form = document.getElementById("open");
const told = document.getElementById("told");
const bytes = (text) => Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));

async function opened(key) {
  const content = bytes(document.getElementById("sealed").textContent);
  const purpose = new TextEncoder().encode("quorum page");
  const base = await crypto.subtle.importKey("raw", bytes(key), "HKDF", false, ["deriveKey"]);
  const derived = await crypto.subtle.deriveKey(
    { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(32), info: purpose },
    base, { name: "AES-GCM", length: 256 }, false, ["decrypt"]);
  const text = await crypto.subtle.decrypt({ name: "AES-GCM", iv: content.slice(0, 12) }, derived, content.slice(12));
  return new TextDecoder().decode(text);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!globalThis.crypto || !crypto.subtle) {
    told.textContent = "This browser opens it only from a disk or over https.";
    return;
  }
  try {
    const figures = document.getElementById("figures");
    figures.innerHTML = await opened(document.getElementById("key").value);
    told.textContent = "";
    form.hidden = true;
    figures.focus();
  } catch {
    told.textContent = "This is not the key of this bundle.";
  }
});
