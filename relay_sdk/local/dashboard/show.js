// Converts values to elements and texts. Data only ever becomes text.

export const byId = (id) => document.getElementById(id);

export function element(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

// Sets a text only if it changed, so that a selection inside it is kept.
export function write(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

// Updates the rows of a table to match the items; a row that stays keeps its focus and its tick.
export function keyed(body, items, key, make, fill) {
  const rows = new Map([...body.children].map((row) => [row.dataset.key, row]));
  const keys = new Set(items.map(key));
  for (const [old, row] of rows) if (!keys.has(old)) row.remove();
  items.forEach((item, at) => {
    let row = rows.get(key(item));
    if (!row) {
      row = make(item);
      row.dataset.key = key(item);
    }
    if (body.children[at] !== row) body.insertBefore(row, body.children[at] ?? null);
    fill(row, item);
  });
}

export function count(number, most = Infinity) {
  return number.toLocaleString("en") + (number >= most ? "+" : "");
}

export function plural(number, word) {
  return `${count(number)} ${word}${number === 1 ? "" : "s"}`;
}

export function span(seconds) {
  const size = Math.abs(seconds);
  if (size < 10) return `${size.toFixed(1)} s`;
  if (size < 120) return `${Math.round(size)} s`;
  if (size < 7200) return `${Math.round(size / 60)} min`;
  if (size < 172800) return `${Math.round(size / 3600)} h`;
  return `${count(Math.round(size / 86400))} days`;
}

// Returns a time relative to the server's clock; a year that Date cannot parse is shown unchanged.
export function moment(text, now) {
  if (text === null) return "";
  const seconds = (Date.parse(text) - Date.parse(now)) / 1000;
  if (Number.isNaN(seconds)) return text;
  return seconds > 0 ? `in ${span(seconds)}` : `${span(seconds)} ago`;
}

// Formats JSON text without parsing its numbers, which may be too large for a browser.
export function pretty(json) {
  let depth = 0;
  let before = "";
  let out = "";
  const line = () => `\n${"  ".repeat(depth)}`;
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/g)) {
    if (token === "}" || token === "]") {
      depth -= 1;
      out += before === "{" || before === "[" ? token : line() + token;
    } else {
      if (before === "{" || before === "[" || before === ",") out += line();
      out += token === ":" ? ": " : token;
      if (token === "{" || token === "[") depth += 1;
    }
    before = token;
  }
  return out;
}
