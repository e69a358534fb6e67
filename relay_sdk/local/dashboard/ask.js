// Sends requests to the server; the token, if it requires one, stays in this tab.

const TOKEN = "relay-token";
const TIMEOUT_MS = 20_000;

export class ServerError extends Error {}
export class TokenRequired extends ServerError {}

export function keepToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

export function hasToken() {
  return sessionStorage.getItem(TOKEN) !== null;
}

// `body` is JSON text; a request with a body is a POST.
export async function ask(path, body) {
  const headers = {};
  const token = sessionStorage.getItem(TOKEN);
  if (token !== null) headers.authorization = `Bearer ${token}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  let answer, text;
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    answer = await fetch(path, { method: body === undefined ? "GET" : "POST", headers, body, signal });
    text = await answer.text();
  } catch {
    throw new ServerError("The server does not answer.");
  }
  if (answer.status === 401) throw new TokenRequired(text);
  if (!answer.ok) throw new ServerError(text || `The server answered ${answer.status}.`);
  return text === "" ? null : JSON.parse(text);
}

export function query(path, values) {
  const given = Object.entries(values).filter(([, value]) => value !== null && value !== "");
  return `${path}?${new URLSearchParams(given)}`;
}
