// The page: loads the data, shows it, and performs the user's actions.

import { ask, query, ServerError, TokenRequired } from "./ask.js";
import { drawChart } from "./chart.js";
import { askForToken, confirmed, enqueueForm } from "./dialogs.js";
import { byId, count, element, keyed, moment, plural, pretty, span, write } from "./show.js";

const UPDATE_INTERVAL_MS = 2000; // milliseconds between updates, when they are quick
const PAUSE_FACTOR = 10; // the pause is at least this many times as long as the update took

const jobsBody = byId("jobs").querySelector("tbody");
const queuesBody = byId("queues").querySelector("tbody");
const filter = byId("filter");

// The address has the selection, so that it can be saved, shared and gone back to.
let selection = {};
let jobsAfter = null; // where the page of jobs begins
let queuesAfter = null;
let shown = { jobs: null, job: null, queues: null };
const ticked = new Set();

function readSelection() {
  const values = new URLSearchParams(location.hash.slice(1));
  const read = (name) => values.get(name);
  const old = selection;
  selection = { queue: read("queue"), status: read("status") ?? "", prefix: read("prefix") ?? "", job: read("job") };
  if (old.queue !== selection.queue || old.status !== selection.status || old.prefix !== selection.prefix) {
    jobsAfter = null;
    ticked.clear();
    shown.jobs = null;
    filter.elements.status.value = selection.status;
    if (filter.elements.prefix.value !== selection.prefix) filter.elements.prefix.value = selection.prefix;
  }
  if (old.job !== selection.job || old.queue !== selection.queue) shown.job = null;
  wake();
}

function go(change, { replace = false } = {}) {
  const next = Object.entries({ ...selection, ...change }).filter(([, value]) => value !== null && value !== "");
  const hash = `#${new URLSearchParams(next)}`;
  if (replace) history.replaceState(null, "", hash);
  else history.pushState(null, "", hash);
  readSelection();
}

// Updating.

let woken = false;
let endPause = () => {};
let updates = 0;
let focusNext = null; // the id of the element to focus after the next update
let ahead = 0; // milliseconds by which the server's clock is ahead

function wake() {
  woken = true;
  endPause();
}

function pause(milliseconds) {
  return new Promise((end) => {
    const timer = setTimeout(end, milliseconds);
    endPause = () => {
      clearTimeout(timer);
      end();
    };
  });
}

async function update() {
  const at = { ...selection, jobsAfter, queuesAfter };
  const gone = (error) => {
    if (error instanceof TokenRequired) throw error;
    return null;
  };
  const [queues, recent, jobs, job] = await Promise.all([
    ask(query("/local/queues", { after: at.queuesAfter })),
    ask(query("/local/recent", { queue: at.queue })),
    at.queue === null ? null : ask(query("/local/jobs", jobsQuery(at))),
    at.job === null ? null : ask(query("/local/job", { queue: at.queue ?? "", id: at.job })).catch(gone),
  ]);
  if (Object.entries(at).some(([name, value]) => value !== { ...selection, jobsAfter, queuesAfter }[name])) return;
  shown = { queues, jobs, job };
  ahead = Date.parse(recent.now) - Date.now();
  showQueues(queues);
  showRecent(recent);
  showJobs(jobs);
  showJob(job);
  if (focusNext !== null) byId(focusNext).focus();
  focusNext = null;
}

function jobsQuery(at) {
  return { queue: at.queue, status: at.status, prefix: at.prefix, after: at.jobsAfter };
}

async function live() {
  for (;;) {
    const began = performance.now();
    woken = false;
    if (!document.hidden) {
      try {
        await update();
        updates += 1;
        document.body.dataset.updates = updates;
        write(byId("live"), `live, ${new Date().toLocaleTimeString()}`);
        byId("live").classList.remove("stale");
        if (byId("trouble").dataset.from === "update") showError("");
      } catch (error) {
        byId("live").classList.add("stale");
        write(byId("live"), "not live");
        if (error instanceof TokenRequired) {
          await askForToken();
          continue;
        }
        if (!(error instanceof ServerError)) console.error(error);
        showError(error.message, "update");
      }
    }
    if (!woken) await pause(Math.max(UPDATE_INTERVAL_MS, PAUSE_FACTOR * (performance.now() - began)));
  }
}

function showError(text, from = "") {
  byId("trouble").dataset.from = from;
  write(byId("trouble"), text);
}

function announce(text) {
  showError("");
  // A new element, so that a screen reader announces the text even if it is the same as before.
  byId("told").replaceChildren(element("span", text));
}

// Showing.

function showQueues(queues) {
  keyed(
    queuesBody,
    queues.queues,
    (line) => line.queue,
    (line) => {
      const row = document.createElement("tr");
      const name = element("th");
      name.scope = "row";
      const button = element("button", line.queue || "(no name)", "link");
      button.type = "button";
      button.addEventListener("click", () => {
        focusNext = "jobs-title";
        go({ queue: line.queue, job: null, status: "", prefix: "" });
      });
      name.append(button);
      row.append(name, ...Array.from({ length: 6 }, () => element("td", "", "number")));
      return row;
    },
    (row, line) => {
      const values = [
        count(line.ready, queues.most),
        count(line.scheduled, queues.most),
        count(line.running, queues.most),
        line.oldest_wait === null ? "" : span(line.oldest_wait),
        count(line.done),
        count(line.retried),
      ];
      values.forEach((value, at) => write(row.children[at + 1], value));
      const chosen = line.queue === selection.queue;
      row.classList.toggle("chosen", chosen);
      row.querySelector("button").setAttribute("aria-current", chosen);
    },
  );
  byId("no-queues").hidden = queues.queues.length > 0;
  byId("more-queues").hidden = queues.after === null && queuesAfter === null;
  byId("next-queues").disabled = queues.after === null;
  byId("first-queues").disabled = queuesAfter === null;
  byId("shared").hidden = !queues.shared;
}

function showRecent(recent) {
  const of = selection.queue === null ? "" : ` of ${selection.queue}`;
  write(byId("recent-title"), `The last 15 minutes${of}`);
  write(byId("sums"), drawChart(byId("chart"), recent));
}

function showJobs(jobs) {
  byId("jobs").hidden = jobs === null;
  if (jobs === null) return;
  write(byId("jobs-title"), `Jobs of ${selection.queue}`);
  const focused = jobsBody.contains(document.activeElement);
  keyed(jobsBody, jobs.jobs, (job) => job.id, jobRow, (row, job) => fillJob(row, job, jobs.now));
  if (focused && !jobsBody.contains(document.activeElement)) byId("jobs-title").focus();
  const filtered = selection.status !== "" || selection.prefix !== "";
  const none = filtered ? "No matching jobs." : "No jobs.";
  write(byId("no-jobs"), jobs.after === null ? none : "No match among 10,000 jobs. Next page searches the following ones.");
  byId("no-jobs").hidden = jobs.jobs.length > 0;
  byId("next-jobs").disabled = jobs.after === null;
  byId("first-jobs").disabled = jobsAfter === null;
  const there = new Set(jobs.jobs.map((job) => job.id));
  for (const id of ticked) if (!there.has(id)) ticked.delete(id);
  showTicks();
}

function jobRow(job) {
  const row = document.createElement("tr");
  const tick = document.createElement("input");
  tick.type = "checkbox";
  tick.setAttribute("aria-label", `Select ${job.id}`);
  tick.addEventListener("change", () => {
    if (tick.checked) ticked.add(job.id);
    else ticked.delete(job.id);
    showTicks();
  });
  const open = element("button", job.id || "(no id)", "link");
  open.type = "button";
  open.addEventListener("click", () => {
    focusNext = "job-title";
    go({ job: job.id });
  });
  const name = element("th");
  name.scope = "row";
  name.append(open);
  const first = element("td");
  first.append(tick);
  const classes = ["status", "", "", "", "number", "payload"];
  row.append(first, name, ...classes.map((each) => element("td", "", each)));
  return row;
}

function fillJob(row, job, now) {
  const [tick, , status, due, since, lease, retries, payload] = row.children;
  tick.firstChild.checked = ticked.has(job.id);
  status.className = `status ${job.status}`;
  write(status, job.status);
  write(due, moment(job.run_at, now));
  due.title = job.run_at;
  write(since, moment(job.running_since, now));
  since.title = job.running_since ?? "";
  write(lease, moment(job.lease_ends, now));
  lease.title = job.lease_ends ?? "";
  write(retries, job.retries_remaining === null ? "no limit" : count(job.retries_remaining));
  write(payload, job.payload);
  row.classList.toggle("chosen", job.id === selection.job);
}

function showTicks() {
  for (const row of jobsBody.children) row.firstChild.firstChild.checked = ticked.has(row.dataset.key);
  write(byId("selected"), ticked.size === 0 ? "none selected" : `${count(ticked.size)} selected`);
  for (const button of byId("jobs").querySelectorAll("[data-action]")) button.disabled = ticked.size === 0;
  byId("all").checked = ticked.size > 0 && ticked.size === jobsBody.children.length;
}

function showJob(found) {
  byId("job").hidden = selection.job === null;
  if (selection.job === null) return;
  write(byId("job-title"), `Job ${selection.job}`);
  const job = found?.job;
  for (const button of byId("job").querySelectorAll("[data-action]")) button.disabled = !job;
  const rows = job ? jobFacts(job, found.now) : [["Status", "This job no longer exists: it was completed or removed."]];
  keyed(
    byId("job").querySelector("dl"),
    rows.flatMap(([name, text]) => [["dt", name, name], ["dd", name, text]]),
    ([tag, name]) => `${tag} ${name}`,
    ([tag]) => element(tag),
    (made, [, , text]) => write(made, text),
  );
  for (const name of ["payload", "state"]) {
    const text = job?.[name] ?? null;
    const target = byId(name);
    target.hidden = byId(`${name}-title`).hidden = text === null;
    if (text !== null && target.source !== text) {
      target.source = text;
      target.textContent = pretty(text);
    }
  }
}

function jobFacts(job, now) {
  const both = (text) => (text === null ? "" : `${moment(text, now)}, ${text.replace("T", " ").replace(/(\.\d+)?Z$/, " UTC")}`);
  const retries = job.max_retries === null ? "no limit" : `${count(job.retries_remaining)} of ${count(job.max_retries)} left`;
  const facts = [["Queue", job.queue], ["Status", job.status], ["Due", both(job.run_at)]];
  if (job.run_id !== null) {
    facts.push(["Run", job.run_id]);
    if (job.running_since !== null) facts.push(["Running since", both(job.running_since)]);
    facts.push(["Last heard from", both(job.updated_at)], ["Lease ends", both(job.lease_ends)]);
  }
  facts.push(["Timeout", `${count(job.timeout)} s`], ["Retries", retries], ["Enqueued", both(job.created_at)]);
  if (job.run_id === null) facts.push(["Last changed", both(job.updated_at)]);
  return facts;
}

// Acting.

async function act(action) {
  try {
    announce(await action());
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    if (error instanceof TokenRequired) await askForToken();
    else showError(error.message, "act");
  }
  wake();
}

const DONE = { remove: "Removed", requeue: "Requeued", "run-now": "Made due" };
const NOT_CHANGED = { remove: "already gone", requeue: "not running", "run-now": "not scheduled" };

async function change(action, ids) {
  const queue = selection.queue;
  const what = ids.length === 1 ? `job ${ids[0]}` : plural(ids.length, "job");
  if (action === "remove" && !(await confirmed(`Remove ${what} of ${queue}? A worker that is running it loses it.`))) return;
  await act(async () => {
    const { changed } = await ask(`/local/${action}`, JSON.stringify({ queue, ids }));
    if (action === "remove") {
      ids.forEach((id) => ticked.delete(id));
      focusNext = "jobs-title"; // the button that was pressed is now disabled
    }
    const rest = ids.length - changed;
    return `${DONE[action]} ${plural(changed, "job")} of ${queue}.${rest ? ` ${count(rest)} ${rest === 1 ? "was" : "were"} ${NOT_CHANGED[action]}.` : ""}`;
  });
}

async function purge() {
  const queue = selection.queue;
  if (!(await confirmed(`Remove all jobs of ${queue}, including running ones?`))) return;
  await act(async () => {
    let removed = 0;
    let after = null;
    do {
      const step = await ask("/local/purge", JSON.stringify({ queue, after }));
      removed += step.removed;
      after = step.after;
      if (after !== null) announce(`Removed ${plural(removed, "job")} of ${queue} so far.`);
    } while (after !== null);
    return `Removed ${plural(removed, "job")} of ${queue}.`;
  });
}

for (const button of byId("jobs").querySelectorAll("[data-action]")) {
  button.addEventListener("click", () => change(button.dataset.action, [...ticked]));
}
for (const button of byId("job").querySelectorAll("[data-action]")) {
  button.addEventListener("click", () => change(button.dataset.action, [selection.job]));
}
byId("purge").addEventListener("click", purge);
byId("close").addEventListener("click", () => {
  go({ job: null });
  byId("jobs-title").focus();
});
byId("all").addEventListener("change", (event) => {
  for (const row of jobsBody.children) {
    if (event.target.checked) ticked.add(row.dataset.key);
    else ticked.delete(row.dataset.key);
  }
  showTicks();
});
function turnTo(after) {
  jobsAfter = after;
  ticked.clear();
  wake();
}
byId("next-jobs").addEventListener("click", () => turnTo(shown.jobs?.after ?? null));
byId("first-jobs").addEventListener("click", () => turnTo(null));
byId("next-queues").addEventListener("click", () => { queuesAfter = shown.queues?.after ?? null; wake(); });
byId("first-queues").addEventListener("click", () => { queuesAfter = null; wake(); });
filter.addEventListener("submit", (event) => event.preventDefault());
filter.addEventListener("input", () => {
  go({ status: filter.elements.status.value, prefix: filter.elements.prefix.value }, { replace: true });
});
byId("new").addEventListener("click", () => enqueueForm(selection.queue ?? "", () => ahead, (job) => {
  announce(`Enqueued job ${job.id} in ${job.queue}.`);
  wake();
}));
addEventListener("hashchange", readSelection);
addEventListener("popstate", readSelection);
document.addEventListener("visibilitychange", () => wake());

readSelection();
live();
