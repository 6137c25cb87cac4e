// One workspace: the answer first, then what keeps it from being another one, the fleet, and how the change came there.

import { ago, command, count, duration, element, fill, isAhead, millis, setText, short } from "./elements.js";
import { badge, tone } from "./list.js";

const STAGES = [
  ["fetched", "fetched"],
  ["linted", "linted"],
  ["published", "published"],
  ["first", "first process"],
  ["p50", "half of them"],
  ["p99", "99 of 100"],
  ["all", "all of them"],
];
// The tones of the states of processes, in the order of the legend.
const STATES = {
  rejected: ["bad", "refusing it"],
  missing: ["bad", "not reported"],
  behind: ["warn", "behind"],
  pending: ["warn", "not applied yet"],
  starting: ["moving", "starting"],
  silent: ["unknown", "silent"],
  stale: ["unknown", "not verified"],
  orphaned: ["unknown", "without a marker"],
  unknown: ["unknown", "in an unknown state"],
  running_next: ["moving", "running the new revision"],
  running: ["good", "running it"],
};
// The largest number of cells without a name, and of cells whose names stand beside them.
const CELLS = 1000;
const LABELLED = 60;
// The order of names, in which app-2 comes before app-10.
const NAMES = new Intl.Collator("en", { numeric: true });

export function workspaceView() {
  const answer = element("h1", { class: "answer", "aria-live": "polite" });
  const asOf = element("p", { class: "as-of" });
  const because = element("p", { class: "because" });
  const change = element("p", { class: "change" });
  const top = element("section", { class: "card top" }, answer, asOf, because, change);
  const sections = {};
  const section = (id, title) => {
    const content = element("div");
    const node = element("section", { class: `card ${id}`, "aria-labelledby": `title-${id}`, hidden: true });
    fill(node, element("h2", { id: `title-${id}` }, title), content);
    sections[id] = { node, content, shown: null };
    return node;
  };
  const node = element(
    "div",
    { class: "page" },
    top,
    section("behind", "Behind"),
    section("rollout", "Rollout"),
    section("refused", "Refused"),
    section("held", "Held"),
    section("fleet", "Fleet"),
    element("div", { class: "pair" }, section("stages", "Time from the commit"), section("source", "Source")),
    section("history", "History"),
    section("conditions", "Conditions"),
  );
  const cells = new Map();

  /** Draws a section again if what it shows is another. */
  function part(id, value, draw) {
    const { node: holder, content, shown } = sections[id];
    const text = JSON.stringify(value ?? null);
    if (text === shown) return;
    sections[id].shown = text;
    const empty = value === null || value === undefined || (Array.isArray(value) && value.length === 0);
    holder.hidden = empty;
    if (!empty) draw(content, value);
  }

  function show(received) {
    const [found] = received.parts.values();
    part("rollout", found.rollout, rollout);
    part("refused", found.refused, refused);
    part("held", found.held, held);
    part("behind", found.behind, behind);
    part("fleet", { roster: found.roster, fleet: found.fleet }, fleet);
    part("stages", found.stages && { stages: found.stages, within: found.converge_within_ms }, stages);
    part("source", { ...found.newest, where: found.source, lastSuccess: null, content: found.content }, source);
    part("history", found.history, history);
    part("conditions", found.conditions, conditions);
  }

  function fleet(content, { roster, fleet: counts }) {
    if (!content.firstChild) fill(content, element("p", { class: "legend" }), element("div", { class: "grid", role: "list" }));
    const [legend, grid] = content.children;
    const total = {};
    for (const { state } of roster.named) total[state] = (total[state] || 0) + 1;
    for (const [state, number] of Object.entries(roster.unnamed)) total[state] = (total[state] || 0) + number;
    const known = Object.keys(STATES).filter((state) => total[state]);
    const hidden = Object.values(roster.unnamed).reduce((sum, number) => sum + Math.max(0, number - CELLS), 0);
    const extra = [
      [counts.unbound, "bound to no pod"],
      [counts.unaccounted, "not reported since the operator restarted"],
      [counts.lost, "lost, and no longer waited for"],
    ].filter(([number]) => number);
    fill(
      legend,
      known.map((state) => [element("span", { class: `cell ${STATES[state][0]}`, "aria-hidden": "true" }), `${total[state]} ${STATES[state][1]}`, element("span", { class: "gap" })]),
      extra.map(([number, what]) => element("span", { class: "note" }, `${number} ${what}`)),
      hidden > 0 && element("span", { class: "dim" }, `${hidden} more are counted, and not drawn`),
      known.length === 0 && "No process follows this workspace, and no pod should.",
    );
    const wanted = [];
    const seen = new Map();
    for (const { name, state, reason } of roster.named) {
      const again = seen.get(name) || 0;
      seen.set(name, again + 1);
      wanted.push([`${name}#${again}`, name, state, reason]);
    }
    for (const [state, number] of Object.entries(roster.unnamed)) {
      for (let at = 0; at < Math.min(number, CELLS); at++) wanted.push([`:${state}#${at}`, null, state]);
    }
    const labelled = roster.named.length <= LABELLED;
    wanted.sort((a, b) => (a[1] === null) - (b[1] === null) || NAMES.compare(a[0], b[0]));
    const there = wanted.map(([key, name, state, reason]) => {
      const cell = cells.get(key) || element("span", { role: "listitem", tabindex: name ? "-1" : undefined });
      cells.set(key, cell);
      const [kind, words] = STATES[state] || STATES.unknown;
      cell.className = `cell ${kind}`;
      const text = name ? `${name}: ${words}${reason ? ` (${reason})` : ""}` : words;
      if (cell.title !== text) {
        cell.title = text;
        cell.setAttribute("aria-label", text);
      }
      setText(cell, labelled && name ? name : "");
      return cell;
    });
    const keys = new Set(wanted.map(([key]) => key));
    for (const key of [...cells.keys()]) if (!keys.has(key)) cells.delete(key);
    const same = there.length === grid.children.length && there.every((cell, at) => grid.children[at] === cell);
    if (!same) grid.replaceChildren(...there);
    grid.classList.toggle("labelled", labelled && roster.named.length > 0);
    grid.classList.toggle("dense", there.length > 200);
    if (there[0]?.hasAttribute("tabindex")) there[0].tabIndex = 0;
    grid.onkeydown = (event) => {
      const at = there.indexOf(document.activeElement);
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step || at < 0) return;
      event.preventDefault();
      there[at + step]?.focus();
    };
  }

  function tick(received, lost) {
    const [found] = received.parts.values();
    if (!found) return;
    const claim = received.claim(found);
    const kind = tone(found, claim, lost);
    top.className = `card top ${kind}`;
    const stale = kind === "stale";
    fill2(answer, stale ? `Not confirmed: ${past(found.answer)}` : `${found.title}: ${found.answer}`, badge(found, claim, lost));
    const age = claim.dated ? `as of ${ago(claim.age)}` : "at an unknown time";
    const wrong = " by the clock of the server: one of the clocks is wrong";
    const why = lost ? " · the connection is lost" : isAhead(claim.age) ? wrong : stale ? ` · such a claim is good for ${duration(found.good_for)}` : "";
    const took = found.converged_in_ms !== null && !found.rollout ? ` · took ${millis(found.converged_in_ms)}` : "";
    setText(asOf, age + why + (stale ? "" : took));
    asOf.classList.toggle("stale", stale);
    const reason = found.state === "converged" ? "" : found.because || "";
    setText(because, stale && reason ? `At that time: ${reason}` : reason);
    const published = found.published_at ? `published ${ago(received.since(found.published_at))}` : "";
    const key = [found.version, found.subject, found.author].join("\n");
    if (change.dataset.key !== key) {
      change.dataset.key = key;
      const words = found.subject !== null && element("q", {}, found.subject);
      fill(change, found.version && element("code", { title: found.revision || found.fingerprint }, found.version), words, found.author && element("span", {}, found.author), element("span", { class: "dim when" }));
    }
    setText(change.querySelector(".when"), published);
    for (const when of node.querySelectorAll("time[datetime]")) {
      setText(when, ago(received.since(when.dateTime)));
    }
    setText(node.querySelector(".confirmed") || document.createElement("i"), found.newest?.lastSuccess ? `confirmed ${ago(received.since(found.newest.lastSuccess))}` : "never read");
  }

  return { node, show, tick };
}

/** Says of an old claim what it says of the past. */
function past(answer) {
  return answer.replace(/ run /g, " ran ").replace(/ is published$/, " was published");
}

function fill2(heading, text, mark) {
  const key = `${mark.className} ${text}`;
  if (heading.dataset.key === key) return;
  heading.dataset.key = key;
  fill(heading, element("span", { class: mark.className, "aria-hidden": "true" }, mark.firstChild.textContent), text);
}

function rollout(content, found) {
  const steps = Array.from({ length: found.steps }, (_, at) => {
    const kind = at < found.step ? "done" : at === found.step ? "now" : "later";
    return element("li", { class: kind, "aria-current": kind === "now" ? "step" : undefined }, `${at + 1}`);
  });
  fill(
    content,
    element("p", {}, `Step ${found.step + 1} of ${found.steps} since `, element("time", { datetime: found.since }), `: ${found.next} run ${short(found.revision)}, ${found.stable} what is published.`),
    element("ol", { class: "steps", "aria-label": "Steps" }, steps),
    element("dl", {}, element("dt", {}, "Go on"), element("dd", {}, command(found.promote)), element("dt", {}, "Roll it back"), element("dd", {}, command(found.abort))),
  );
}

function refused(content, found) {
  const faults = [count(found.errors, "error"), found.warnings && count(found.warnings, "warning")].filter(Boolean).join(", ");
  const lines = found.diagnostics.map((finding) => {
    const where = [finding.path, finding.line].filter((there) => there !== undefined && there !== null).join(":");
    return element("li", {}, element("code", { class: "where" }, where), element("span", {}, finding.message), element("span", { class: "dim" }, finding.rule));
  });
  fill(
    content,
    element("p", {}, "Lint refuses ", element("code", {}, short(found.revision)), ` with ${faults}, `, element("time", { datetime: found.time }), ". Processes keep what was published before."),
    element("ul", { class: "findings" }, lines),
  );
}

function held(content, found) {
  const reasons = {
    ShrinkHeld: `It would remove ${count(found.removes || 0, "published variable")}.`,
    RefusedInRehearsal: "Processes refuse it before it is published.",
    RehearsalIncomplete: "Processes have not prepared it.",
    HeldBack: "It was rolled back during its rollout.",
  };
  const names = (found.processes || []).map(({ name, state, reason }) => element("li", {}, element("code", {}, name), ` ${state}${reason ? ` (${reason})` : ""}`));
  fill(
    content,
    element("p", {}, element("code", {}, short(found.revision)), " waits for a person since ", element("time", { datetime: found.since }), `. ${reasons[found.reason] || found.reason}`),
    names.length > 0 && element("ul", { class: "names" }, names),
    element("dl", {}, element("dt", {}, "Release it"), element("dd", {}, command(found.release))),
  );
}

function behind(content, found) {
  const rows = found.map((one) =>
    element(
      "tr",
      {},
      element("th", { scope: "row", class: "name" }, element("code", {}, one.name)),
      element("td", {}, one.state, one.reason && element("span", { class: "dim" }, ` ${one.reason}`)),
      element("td", {}, one.why),
      element("td", {}, one.command && command(one.command)),
    ),
  );
  const heads = ["Process", "State", "Why", "Run this to see more"].map((title) => element("th", { scope: "col" }, title));
  fill(content, element("table", { class: "plain" }, element("thead", {}, element("tr", {}, heads)), element("tbody", {}, rows)));
}

/** The stages of a change one below the other, each from the end of the one before. */
function stages(content, { stages: found, within }) {
  const reached = STAGES.filter(([id]) => found[id] !== undefined && found[id] !== null);
  const end = Math.max(1, ...reached.map(([id]) => found[id]));
  let from = 0;
  const rows = reached.map(([id, title]) => {
    const until = found[id];
    const bar = element("span", { class: `bar ${["fetched", "linted", "published"].includes(id) ? "operator" : "fleet"}` });
    bar.style.marginLeft = `${(100 * Math.min(from, until)) / end}%`;
    bar.style.width = `${Math.max(0.6, (100 * Math.max(0, until - from)) / end)}%`;
    from = Math.max(from, until);
    return element("tr", {}, element("th", { scope: "row" }, title), element("td", { class: "track" }, bar), element("td", { class: "number" }, millis(until)));
  });
  const waits = found.all === undefined || found.all === null;
  const goal = found.all !== undefined && found.all !== null ? found.all - found.published <= within : null;
  const limit = within % 1000 === 0 ? duration(within / 1000) : millis(within);
  const verdict = goal ? `Within ${limit} of being published, as asked for.` : `Later than ${limit} after being published.`;
  const note = waits ? "Not all have applied it." : verdict;
  fill(content, element("table", { class: "waterfall" }, element("tbody", {}, rows)), element("p", { class: "dim" }, note));
}

function source(content, found) {
  const item = (title, ...value) => [element("dt", {}, title), element("dd", {}, value)];
  const words = found.commit;
  fill(
    content,
    element(
      "dl",
      {},
      item("From", element("span", { class: "wrap" }, found.where)),
      item("Newest", element("code", { title: found.revision || "" }, short(found.revision) || "–"), " ", words && element("q", {}, words.subject), words && ` ${words.author}`),
      item("Source", element("span", { class: "confirmed" })),
      found.signer && item("Signed by", found.signer),
      found.lastError && item("Failure", element("span", { class: "bad-text" }, found.lastError)),
      found.content && item("Holds", `${count(found.content.variables, "variable")}, ${count(found.content.qualifiers, "qualifier")}, ${count(found.content.resources, "resource")}${found.content.expired ? `; ${found.content.expired} expired` : ""}`),
    ),
  );
}

function history(content, entries) {
  const titles = ["Published", "Version", "Change", "Everywhere in"];
  const heads = titles.map((title, at) => element("th", { scope: "col", class: at === 3 && "number" }, title));
  const rows = entries.map((entry) =>
    element(
      "tr",
      {},
      element("td", { title: entry.updatedAt }, element("time", { datetime: entry.updatedAt })),
      element("td", {}, element("code", { title: entry.revision || entry.fingerprint }, short(entry.revision || entry.fingerprint))),
      element("td", {}, entry.commit && entry.commit.subject, entry.commit && element("span", { class: "dim" }, ` · ${entry.commit.author}`), entry.anyway && element("span", { class: "note" }, "published anyway"), entry.difference && element("details", {}, element("summary", {}, "What it decides otherwise"), command(entry.difference))),
      element("td", { class: "number" }, entry.convergedMillis !== undefined ? millis(entry.convergedMillis) : "–"),
    ),
  );
  fill(content, element("table", { class: "plain" }, element("thead", {}, element("tr", {}, heads)), element("tbody", {}, rows)));
}

function conditions(content, found) {
  const rows = found.map(({ kind, status, reason, message, since }) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, kind),
      element("td", {}, status),
      element("td", {}, reason),
      element("td", { class: "message" }, message),
      element("td", { class: "dim" }, element("time", { datetime: since })),
    ),
  );
  fill(content, element("table", { class: "plain" }, element("tbody", {}, rows)));
}
