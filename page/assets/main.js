// The frame of the page: places, the token, and the state of the connection. `list.js` and `workspace.js` show what was
// received.

import { follow, partName, partPlace, token } from "./connection.js";
import { duration, element, fill, setText } from "./elements.js";
import { listView } from "./list.js";
import { workspaceView } from "./workspace.js";

const content = document.getElementById("content");
const connection = document.getElementById("connection");
const path = document.getElementById("path");
let current = null;
// The workspace that was open last, to which the list leads back.
let opened = null;
// The list that was open last, with its namespace.
let home = "#/";

/** Reads the place from the fragment. `rototo ui` gives the token there, where no server and no log sees it. */
function place() {
  const given = location.hash.match(/^#token=([^&]+)$/);
  if (given) {
    token.set(decodeURIComponent(given[1]));
    history.replaceState(null, "", "#/");
  }
  const [names, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [namespace, name] = names.split("/").map(decodeURIComponent);
  return { namespace, name, filter: new URLSearchParams(query) };
}

function show() {
  current?.stop.abort();
  const { namespace, name, filter } = place();
  const stop = new AbortController();
  const one = namespace && name;
  const view = one ? workspaceView() : listView(filter, stop.signal, opened && partName(opened));
  const before = opened?.namespace;
  const cluster = filter.get("cluster");
  opened = one ? { cluster, namespace, name } : null;
  current = { stop, view, received: null, lost: null, refused: false };
  const mine = current;
  if (!one) home = location.hash || "#/";
  document.querySelector(".brand").setAttribute("href", home);
  document.title = one ? `${name} · rototo` : "rototo";
  fill(path, one && element("span", { class: "crumb" }, cluster && `${cluster} / `, `${namespace} / `, element("strong", {}, name)));
  fill(content, view.node);
  scrollTo(0, 0);
  if (one) content.focus({ preventScroll: true });
  state();
  const within = filter.get("namespace");
  const api = one
    ? `api/workspaces/${partPlace(opened)}`
    : `api/workspaces${within ? `?namespace=${encodeURIComponent(within)}` : ""}`;
  follow(api, stop.signal, {
    changed(received) {
      Object.assign(mine, { received, lost: null, refused: false });
      if (!view.node.isConnected) fill(content, view.node);
      view.show(received);
      tick();
    },
    lost(reason) {
      mine.lost = reason;
      tick();
    },
    refused(refusal) {
      mine.refused = true;
      if (refusal.signIn) fill(content, signIn(refusal));
      else if (refusal.status === 404) fill(content, notice("Not here", refusal.message));
      else if (refusal.status !== 400) fill(content, login(refusal, within || before));
      else fill(content, notice("Refused", refusal.message));
      state();
    },
  });
}

/** Asks for a token, and for the namespace in which its owner may list. */
function login(refusal, within) {
  // Whoever only names another namespace keeps the token.
  const known = refusal.status === 403;
  const field = element("textarea", { id: "token", rows: 4, autocomplete: "off", spellcheck: "false", required: !known });
  const namespace = element("input", { id: "namespace", value: within || "", autocomplete: "off", spellcheck: "false" });
  const enter = (event) => {
    event?.preventDefault();
    if (field.value.trim()) token.set(field.value.trim());
    const at = namespace.value.trim();
    const next = place().name ? location.hash : at ? `#/?namespace=${encodeURIComponent(at)}` : "#/";
    if (location.hash === next) show();
    else location.hash = next;
  };
  const form = element(
    "form",
    { class: "login", onsubmit: enter },
    element("h1", {}, known ? "This token may not see that" : "Show a token"),
    element("p", { class: "because" }, refusal.message),
    element("label", { for: "token" }, "Token with audience rototo"),
    field,
    element("label", { for: "namespace" }, "Namespace, if you may not list all"),
    namespace,
    element("button", { type: "submit", class: "primary" }, "Show"),
    element("p", { class: "hint" }, "It stays in this tab. Get one with"),
    element("pre", {}, "kubectl create token ACCOUNT --namespace NAMESPACE --audience rototo --duration 1h"),
  );
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey) enter(event);
  });
  setTimeout(() => (known ? namespace : field).focus());
  return form;
}

/** Leads to the sign-in of the proxy in front, which answers the page instead of the server. */
function signIn(refusal) {
  const reload = element("button", { type: "button", class: "primary", onclick: () => location.reload() }, "Load again");
  setTimeout(() => reload.focus());
  return notice("Sign in again", refusal.message, reload);
}

function notice(title, text, ...more) {
  return element("section", { class: "notice" }, element("h1", {}, title), element("p", {}, text), more);
}

/** Shows whether what stands on the page is still true. */
function state() {
  const { received, lost, refused } = current;
  if (refused) {
    connection.className = "connection";
    for (const part of connection.children) setText(part, "");
    return;
  }
  const trouble = lost || received?.trouble;
  const kind = trouble ? "lost" : received ? "live" : "waiting";
  connection.className = `connection ${kind}`;
  // The age is outside of what a screen reader announces, as it changes each second.
  const [said, age] = connection.children;
  setText(said, trouble ? `Disconnected: ${trouble}` : received ? "Live" : "Connecting");
  setText(age, trouble && received ? `, last seen ${duration(received.age())} ago` : "");
  document.body.classList.toggle("disconnected", Boolean(lost && received));
}

function tick() {
  state();
  if (current.received) current.view.tick(current.received, Boolean(current.lost));
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea");
  if (event.key === "Escape" && !typing && place().name) location.hash = home;
});
addEventListener("hashchange", show);
setInterval(tick, 1000);
show();
