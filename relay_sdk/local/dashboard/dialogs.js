// The dialogs: for a token, for a removal, and for a new job.

import { ask, hasToken, keepToken, ServerError } from "./ask.js";
import { byId } from "./show.js";

// Opens a dialog; resolves with whether its form was submitted and `accept` returned true.
function opened(dialog, accept = async () => true) {
  const form = dialog.querySelector("form");
  return new Promise((end) => {
    const send = async (event) => {
      event.preventDefault();
      if (await accept(form)) dialog.close("sent");
    };
    const cancel = () => dialog.close("");
    const button = form.querySelector(".cancel");
    form.addEventListener("submit", send);
    button?.addEventListener("click", cancel);
    dialog.addEventListener(
      "close",
      () => {
        form.removeEventListener("submit", send);
        button?.removeEventListener("click", cancel);
        end(dialog.returnValue === "sent");
      },
      { once: true },
    );
    dialog.returnValue = "";
    dialog.showModal();
  });
}

export function confirmed(question) {
  byId("question").textContent = question;
  return opened(byId("confirm"));
}

let asking = null;

export function askForToken() {
  const dialog = byId("token");
  dialog.querySelector(".wrong").textContent = hasToken() ? "The server refused this token." : "";
  asking ??= opened(dialog, async (form) => {
    const token = form.elements.token.value.trim();
    const fits = /^[\x21-\x7e]+$/.test(token);
    if (!fits) dialog.querySelector(".wrong").textContent = "A token has only letters, digits and punctuation, without spaces.";
    else keepToken(token);
    form.elements.token.value = "";
    return fits;
  }).finally(() => {
    asking = null;
  });
  return asking;
}

// Returns an error message if the text is not JSON, and otherwise an empty string.
function wrongJson(text) {
  try {
    JSON.parse(text);
    return "";
  } catch (error) {
    return `This is not JSON: ${error.message}`;
  }
}

function check(form, name) {
  const field = form.elements[name];
  const wrong = name === "state" && field.value.trim() === "" ? "" : wrongJson(field.value);
  byId(`${name}-wrong`).textContent = wrong;
  field.setAttribute("aria-invalid", wrong !== "");
  return wrong === "";
}

// crypto.randomUUID needs a secure context; these random numbers do not.
function randomId() {
  return [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export async function enqueueForm(queue, ahead, done) {
  const dialog = byId("enqueue");
  const form = dialog.querySelector("form");
  const problem = dialog.querySelector("[role=alert]");
  problem.textContent = "";
  if (queue) form.elements.queue.value = queue;
  form.elements.id.value = randomId();
  form.oninput = (event) => {
    if (["payload", "state"].includes(event.target.name)) check(form, event.target.name);
  };
  const sent = await opened(dialog, async () => {
    const payload = check(form, "payload");
    if (!check(form, "state") || !payload) {
      form.elements[payload ? "state" : "payload"].focus();
      return false;
    }
    try {
      await ask("/v2/queues/jobs?mode=unique", `[${jobText(form.elements, Date.now() + ahead())}]`);
      return true;
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      problem.textContent = error.message;
      return false;
    }
  });
  if (sent) done({ id: form.elements.id.value, queue: form.elements.queue.value });
}

// The JSON texts are sent as they were typed, so that large numbers stay exact.
function jobText(fields, now) {
  const delay = Number(fields.delay.value);
  const parts = {
    queue: JSON.stringify(fields.queue.value),
    id: JSON.stringify(fields.id.value),
    timeout: String(Number(fields.timeout.value)),
    max_retries: fields.max_retries.value === "" ? "null" : String(Number(fields.max_retries.value)),
    payload: fields.payload.value,
    state: fields.state.value.trim() || "null",
    run_at: delay > 0 ? JSON.stringify(new Date(now + 1000 * delay).toISOString()) : "null",
  };
  return `{${Object.entries(parts).map(([name, text]) => `"${name}":${text}`).join(",")}}`;
}
