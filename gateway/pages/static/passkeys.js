// Passkeys on the pages: shows the forms that need them where the browser has them, and speaks to our own paths alone.
"use strict";

const PATHS = {
  "sign-in": "/signin/passkey",
  second: "/signin/second/passkey",
  register: "/signin/security/passkey",
};

const toBytes = (text) => {
  const plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(plain, (character) => character.charCodeAt(0));
};

const toText = (buffer) => {
  const plain = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(plain).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
};

const post = (path, token, body) =>
  fetch(path, {
    method: "POST",
    credentials: "same-origin",
    redirect: "error",
    headers: { "Content-Type": "application/json", "X-CSRFToken": token },
    body: JSON.stringify(body),
  });

const descriptors = (list) => (list || []).map((one) => ({ ...one, id: toBytes(one.id) }));

const make = async (options) => {
  const publicKey = {
    ...options,
    challenge: toBytes(options.challenge),
    user: { ...options.user, id: toBytes(options.user.id) },
    excludeCredentials: descriptors(options.excludeCredentials),
  };
  const made = await navigator.credentials.create({ publicKey });
  return {
    id: made.id,
    rawId: toText(made.rawId),
    type: made.type,
    response: {
      clientDataJSON: toText(made.response.clientDataJSON),
      attestationObject: toText(made.response.attestationObject),
      transports: made.response.getTransports ? made.response.getTransports() : [],
    },
  };
};

const ask = async (options) => {
  const publicKey = {
    ...options,
    challenge: toBytes(options.challenge),
    allowCredentials: descriptors(options.allowCredentials),
  };
  const got = await navigator.credentials.get({ publicKey });
  return {
    id: got.id,
    rawId: toText(got.rawId),
    type: got.type,
    response: {
      clientDataJSON: toText(got.response.clientDataJSON),
      authenticatorData: toText(got.response.authenticatorData),
      signature: toText(got.response.signature),
      userHandle: got.response.userHandle ? toText(got.response.userHandle) : null,
    },
  };
};

const WORDS = {
  400: "That passkey was not accepted. Try once more, or use another way.",
  401: "You have been away for too long. Open the page once more.",
  403: "You have been away for too long. Open the page once more.",
  409: "This passkey is registered already.",
  429: "There were too many attempts. Wait a while.",
};

const go = async (form) => {
  const path = PATHS[form.dataset.passkey];
  const token = form.elements.csrf_token.value;
  const asked = await post(`${path}/options`, token, {});
  if (!asked.ok) return WORDS[asked.status] || "That did not work. Try again in a minute.";
  const options = await asked.json();
  const credential = await (form.dataset.passkey === "register" ? make : ask)(options);
  const name = form.elements.name && form.elements.name.value;
  const answer = await post(path, token, { credential, next: form.elements.next.value, name });
  if (!answer.ok) return WORDS[answer.status] || "That did not work. Try again in a minute.";
  if ((answer.headers.get("Content-Type") || "").startsWith("application/json")) {
    window.location.assign((await answer.json()).next);
    return "";
  }
  // The page with the recovery codes: it is shown this once, so it takes this page's place.
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.title = page.title;
  document.querySelector("main").replaceWith(page.querySelector("main"));
  document.querySelector("main h1").setAttribute("tabindex", "-1");
  document.querySelector("main h1").focus();
  return "";
};

const start = (form) => {
  const problem = form.querySelector("[data-problem]");
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.hidden = true;
    const button = form.querySelector("button");
    button.disabled = true;
    let words;
    try {
      words = await go(form);
    } catch (error) {
      words = error.name === "InvalidStateError" ? WORDS[409] : "No passkey was used. Try once more, or use another way.";
    }
    button.disabled = false;
    problem.textContent = words;
    problem.hidden = !words;
  });
};

if (window.PublicKeyCredential) document.querySelectorAll("form[data-passkey]").forEach(start);
