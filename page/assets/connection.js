// Reads a document, and then its changes, for as long as somebody looks at it.
//
// The browser's own EventSource can't send a header, so the events are read from the body of a request. A stream of the
// server ends by itself after half a minute, and the next one begins with the whole document: nothing has to be resumed.

import { isAhead } from "./elements.js";

const KEY = "rototo-token";
// The silence after which a connection counts as lost: the server sends an event every three seconds.
const LOST_AFTER = 10000;
const FIRST_WAIT = 500;
const LONGEST_WAIT = 8000;

/** The token: given in the fragment of the address by `rototo ui`, or pasted. It is kept for this tab alone. */
export const token = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

/** Returns the name of a workspace: its namespace and its own name, after its cluster if there are several. */
export function partName(part) {
  return [part.cluster, part.namespace, part.name].filter(Boolean).join("/");
}

/** Returns the place of a workspace below the list, in addresses. */
export function partPlace({ cluster, namespace, name }) {
  const within = cluster ? `?cluster=${encodeURIComponent(cluster)}` : "";
  return `${encodeURIComponent(namespace)}/${encodeURIComponent(name)}${within}`;
}

/** A document and its age. Ages count by this machine's steady clock from the moment at which it arrived. */
export class Received {
  constructor() {
    this.parts = new Map();
    this.trouble = null;
    this.now = null;
    this.at = 0;
  }

  take(frame) {
    if (frame.all) this.parts.clear();
    for (const part of frame.parts) this.parts.set(partName(part), part);
    for (const name of frame.gone) this.parts.delete(name);
    this.trouble = frame.trouble;
    this.now = Date.parse(frame.now);
    this.at = performance.now();
  }

  /** Returns the seconds since the document was true. */
  age() {
    return (performance.now() - this.at) / 1000;
  }

  /** Returns the seconds since a time by the server's clock. */
  since(time) {
    return (this.now - Date.parse(time)) / 1000 + this.age();
  }

  /** Returns the age of a claim, and whether it is still good. One from the future shows that a clock is wrong. */
  claim(part) {
    const age = part.as_of ? this.since(part.as_of) : this.age();
    return { age, good: part.dated && age <= part.good_for && !isAhead(age), dated: part.dated };
  }
}

/** Follows the document at `path` until `signal` ends it. */
export async function follow(path, signal, on) {
  const received = new Received();
  let wait = FIRST_WAIT;
  let last = performance.now();
  const watch = setInterval(() => {
    if (performance.now() - last > LOST_AFTER) on.lost("the server has not answered for 10 s");
  }, 1000);
  signal.addEventListener("abort", () => clearInterval(watch));
  while (!signal.aborted) {
    try {
      const ended = await stream(path, signal, (frame) => {
        last = performance.now();
        wait = FIRST_WAIT;
        received.take(frame);
        on.changed(received);
      });
      if (ended.orderly) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        continue;
      }
      if (signal.aborted) return;
      if (ended.status === 401) return on.refused(ended);
      if (ended.status === 403 || ended.status === 404 || ended.status === 400) {
        on.refused(ended);
        if (ended.status !== 404) return;
      } else {
        on.lost(ended.message);
      }
    } catch (error) {
      if (signal.aborted) return;
      on.lost(error instanceof TypeError ? "the server can't be reached" : "the connection broke off");
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(wait * 2, LONGEST_WAIT);
  }
}

async function stream(path, signal, take) {
  const headers = { accept: "text/event-stream" };
  if (token.get()) headers.authorization = `Bearer ${token.get()}`;
  const abort = new AbortController();
  const began = performance.now();
  const end = () => abort.abort();
  signal.addEventListener("abort", end);
  const silent = () => setTimeout(() => abort.abort(), LOST_AFTER);
  let timer = silent();
  try {
    const answer = await fetch(path, { headers, signal: abort.signal, credentials: "same-origin", cache: "no-store" });
    if (!answer.ok) return { status: answer.status, message: await reason(answer) };
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    let orderly = false;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return { orderly: orderly && performance.now() - began > 1000, message: "the connection ended" };
      clearTimeout(timer);
      timer = silent();
      rest += value;
      const events = rest.split("\n\n");
      rest = events.pop();
      for (const event of events) {
        const { name, data } = parse(event);
        if (name === "document") {
          take(JSON.parse(data));
          orderly = true;
        } else if (name === "refused") {
          // The next request is answered with the reason.
          orderly = false;
        }
      }
    }
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
  }
}

function parse(event) {
  let name = "message";
  const data = [];
  for (const line of event.split("\n")) {
    if (line.startsWith("event:")) name = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  return { name, data: data.join("\n") };
}

async function reason(answer) {
  try {
    return (await answer.json()).message || answer.statusText;
  } catch {
    return `the server answered ${answer.status}`;
  }
}
