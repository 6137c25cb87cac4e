// The list of all workspaces: a line for each, which is changed in place, so that a thousand of them stay quick.

import { partName, partPlace } from "./connection.js";
import { ago, count, duration, element, fill, millis, setText } from "./elements.js";

// What the states mean for somebody who looks for trouble.
const TONES = {
  processes_refuse: "bad",
  behind: "bad",
  not_published: "bad",
  unserved: "bad",
  not_observed: "unknown",
  commit_refused: "warn",
  held: "warn",
  source_fails: "warn",
  not_known: "unknown",
  rolling_out: "moving",
  on_its_way: "moving",
  converged: "good",
};
const SIGNS = { bad: "✕", warn: "!", unknown: "?", moving: "◐", good: "✓", stale: "◌" };

// The largest number of lines that are drawn before somebody asks for all: the urgent ones come first.
const DRAWN = 200;

const COLUMNS = [
  { id: "state", title: "State", key: (part) => part.rank },
  { id: "workspace", title: "Workspace", key: partName },
  { id: "fleet", title: "Fleet", key: (part) => (part.total ? part.applied / part.total : 2) },
  { id: "version", title: "Version", key: (part) => part.version || "" },
  { id: "change", title: "Last change", key: (part) => (part.subject || "").toLowerCase() },
  { id: "published", title: "Published", key: (part) => -Date.parse(part.published_at || 0) },
  { id: "took", title: "Took", key: (part) => part.converged_in_ms ?? Infinity },
];

/** Returns the tone of a workspace. A claim that is too old is never a good one. */
export function tone(part, claim, lost) {
  if (lost || !claim.good) return "stale";
  return TONES[part.state] || "unknown";
}

/** Returns a sign and a word for a state. Color is never the only difference. */
export function badge(part, claim, lost) {
  const kind = tone(part, claim, lost);
  const word = kind === "stale" ? `${part.title}?` : part.title;
  return element("span", { class: `badge ${kind}` }, element("span", { "aria-hidden": "true" }, SIGNS[kind]), ` ${word}`);
}

export function listView(filter, signal, opened) {
  const lines = new Map();
  let sort = { column: COLUMNS[0], down: false };
  let received = null;
  let lost = false;
  let only = null;
  let limit = DRAWN;

  const answer = element("h1", { class: "answer" });
  const asOf = element("p", { class: "as-of" });
  const search = element("input", {
    type: "search",
    id: "search",
    placeholder: "Search name, commit, author, subject",
    "aria-label": "Search",
    autocomplete: "off",
    spellcheck: "false",
    value: filter.get("search") || "",
  });
  const chips = element("div", { class: "chips", role: "group", "aria-label": "Show only" });
  const body = element("tbody");
  const none = element("p", { class: "empty" });
  const more = element("button", { type: "button", class: "more", onclick: () => drawAll() });
  const heads = COLUMNS.map((column) => {
    const button = element("button", { type: "button", onclick: () => order(column) }, column.title);
    return element("th", { scope: "col", class: `column-${column.id}` }, button);
  });
  const table = element(
    "table",
    { class: "list" },
    element("caption", { class: "unseen" }, "Workspaces; the arrow keys move between them"),
    element("thead", {}, element("tr", {}, heads)),
    body,
  );
  const node = element("div", { class: "page" }, answer, asOf, element("div", { class: "tools" }, search, chips), table, more, none);

  search.addEventListener("input", () => {
    arrange();
    if (received) tick(received, lost);
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "Enter") move(event, 0);
  });
  body.addEventListener("keydown", (event) => {
    const at = links().indexOf(document.activeElement);
    const last = links().length - 1;
    if (event.key === "ArrowDown" || event.key === "j") move(event, Math.min(at + 1, last));
    else if (event.key === "ArrowUp" || event.key === "k") at === 0 ? focus(event, search) : move(event, at - 1);
    else if (event.key === "Home") move(event, 0);
    else if (event.key === "End") move(event, last);
  });
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.key === "/" && !event.target.closest("input, textarea")) focus(event, search);
    },
    { signal },
  );

  const links = () => [...body.querySelectorAll("a")];
  const move = (event, at) => focus(event, links()[at]);
  function focus(event, target) {
    event.preventDefault();
    target?.focus();
  }

  function order(column) {
    sort = { column, down: sort.column === column && !sort.down };
    arrange();
    tick(received, lost);
  }

  /** Puts the lines in order, without those that do not match. */
  function arrange() {
    if (!received) return;
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = [...received.parts.values()].filter((part) => {
      const text = `${partName(part)} ${part.version} ${part.subject} ${part.author} ${part.title}`.toLowerCase();
      const fits = only === null || tone(part, received.claim(part), lost) === only;
      return fits && words.every((word) => text.includes(word) || (part.version && word.startsWith(part.version)));
    });
    const { key } = sort.column;
    const sign = sort.down ? -1 : 1;
    shown.sort((a, b) => {
      const [left, right] = [key(a), key(b)];
      return left < right ? -sign : left > right ? sign : partName(a) < partName(b) ? -1 : 1;
    });
    const rows = shown.slice(0, limit).map((part) => {
      const key = partName(part);
      if (!lines.has(key)) lines.set(key, line());
      const entry = lines.get(key);
      if (entry.part !== part) draw(entry, part);
      return entry.row;
    });
    const left = shown.length - rows.length;
    more.hidden = left === 0;
    setText(more, `Show ${count(left, "more workspace")}`);
    const same = rows.length === body.children.length && rows.every((row, at) => body.children[at] === row);
    if (!same) {
      const focused = document.activeElement;
      body.replaceChildren(...rows);
      if (focused !== document.activeElement && focused.isConnected) focused.focus();
    }
    heads.forEach((head, at) => {
      const mine = COLUMNS[at] === sort.column;
      head.setAttribute("aria-sort", mine ? (sort.down ? "descending" : "ascending") : "none");
    });
    const total = received.parts.size;
    setText(none, total === 0 ? "There is no RototoWorkspace here." : rows.length === 0 ? "No workspace matches." : "");
    table.hidden = rows.length === 0;
  }

  function drawAll() {
    const at = body.children.length;
    limit = Infinity;
    arrange();
    tick(received, lost);
    links()[at]?.focus();
  }

  function line() {
    const cells = COLUMNS.map(({ id }) => element("td", { class: `column-${id}` }));
    const row = element("tr", {}, cells);
    row.addEventListener("click", (event) => {
      if (!event.target.closest("a") && !String(getSelection())) row.querySelector("a").click();
    });
    return { row, cells, part: null, shown: null };
  }

  function draw(entry, part) {
    const [, workspace, fleet, version, change] = entry.cells;
    const place = `#/${partPlace(part)}`;
    const link = workspace.querySelector("a");
    if (!link) {
      const dimmed = element("span", { class: "dim" }, partName(part).slice(0, -part.name.length));
      fill(workspace, element("a", { href: place }, dimmed, part.name));
    }
    const meter = element("span", { class: "meter", "aria-hidden": "true" }, element("span"));
    meter.firstChild.style.width = part.total ? `${(100 * part.applied) / part.total}%` : "0";
    fill(fleet, element("span", { class: "number" }, part.total ? `${part.applied}/${part.total}` : "none"), meter);
    fill(version, element("code", {}, part.version || "–"));
    fill(change, part.subject ?? "", part.author && element("span", { class: "dim" }, ` · ${part.author}`));
    change.title = part.subject ? `${part.subject} · ${part.author}` : "";
    setText(entry.cells[6], part.converged_in_ms === null ? "–" : millis(part.converged_in_ms));
    entry.part = part;
  }

  function tally() {
    const tones = new Map();
    for (const part of received.parts.values()) {
      const kind = tone(part, received.claim(part), lost);
      tones.set(kind, (tones.get(kind) || 0) + 1);
    }
    return tones;
  }

  function summary(tones) {
    const total = received.parts.size;
    if (total === 0) return "No workspaces";
    const good = tones.get("good") || 0;
    if (good === total) return total === 1 ? "The workspace has converged" : `All ${total} workspaces have converged`;
    const words = { bad: "in trouble", warn: "waiting for a person", moving: "on the way", unknown: "not known", stale: "not confirmed" };
    const rest = Object.entries(words).filter(([kind]) => tones.get(kind)).map(([kind, text]) => `${tones.get(kind)} ${text}`);
    return `${good} of ${count(total, "workspace")} converged: ${rest.join(", ")}`;
  }

  function tick(now, isLost) {
    received = now;
    lost = isLost;
    const tones = tally();
    setText(answer, summary(tones));
    setText(asOf, `as of ${duration(received.age())} ago`);
    asOf.classList.toggle("stale", lost);
    for (const entry of lines.values()) {
      const { part, cells } = entry;
      if (!entry.row.isConnected) continue;
      const claim = received.claim(part);
      const shown = `${tone(part, claim, lost)} ${part.title} ${part.suspended} ${part.source_stale}`;
      if (shown !== entry.shown) {
        const notes = [part.suspended && "suspended", part.source_stale && "source not confirmed"].filter(Boolean);
        fill(cells[0], badge(part, claim, lost), notes.map((note) => element("span", { class: "note" }, note)));
        entry.shown = shown;
      }
      const when = part.published_at ? ago(received.since(part.published_at)) : "–";
      setText(cells[5], when);
      cells[0].title = claim.dated ? `as of ${ago(claim.age)}` : "at an unknown time";
    }
    const wanted = ["bad", "warn", "unknown", "stale", "moving", "good"].filter((kind) => tones.get(kind) || only === kind);
    const text = wanted.map((kind) => `${kind}${tones.get(kind)}${only === kind}`).join();
    if (chips.dataset.shown !== text) {
      chips.dataset.shown = text;
      const names = { bad: "trouble", warn: "waiting for a person", unknown: "not known", stale: "not confirmed", moving: "on the way", good: "converged" };
      const focused = document.activeElement?.dataset?.kind;
      fill(
        chips,
        wanted.map((kind) =>
          element(
            "button",
            {
              type: "button",
              class: `chip ${kind}`,
              "data-kind": kind,
              "aria-pressed": String(only === kind),
              onclick: () => {
                only = only === kind ? null : kind;
                arrange();
                tick(received, lost);
              },
            },
            `${SIGNS[kind]} ${tones.get(kind) || 0} ${names[kind]}`,
          ),
        ),
      );
      chips.querySelector(`[data-kind="${focused}"]`)?.focus();
    }
  }

  return {
    node,
    tick,
    show(now) {
      received = now;
      for (const name of lines.keys()) if (!received.parts.has(name)) lines.delete(name);
      arrange();
      if (opened && document.activeElement === document.body) lines.get(opened)?.row.querySelector("a").focus();
      opened = null;
    },
  };
}
