// Asks the server; the token, where it wants one, stays in this tab.

const TOKEN = "relay-token";
const PATIENCE = 20_000; // milliseconds

export class Trouble extends Error {}
export class TokenWanted extends Trouble {}

export function keepToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

export function hasToken() {
  return sessionStorage.getItem(TOKEN) !== null;
}

// `body` is JSON text; with one it is a POST.
export async function ask(path, body) {
  const headers = {};
  const token = sessionStorage.getItem(TOKEN);
  if (token !== null) headers.authorization = `Bearer ${token}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  let answer, text;
  try {
    const signal = AbortSignal.timeout(PATIENCE);
    answer = await fetch(path, { method: body === undefined ? "GET" : "POST", headers, body, signal });
    text = await answer.text();
  } catch {
    throw new Trouble("The server does not answer.");
  }
  if (answer.status === 401) throw new TokenWanted(text);
  if (!answer.ok) throw new Trouble(text || `The server answered ${answer.status}.`);
  return text === "" ? null : JSON.parse(text);
}

export function query(path, values) {
  const given = Object.entries(values).filter(([, value]) => value !== null && value !== "");
  return `${path}?${new URLSearchParams(given)}`;
}
