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
const SLEPT = "this machine was asleep";
const SIGN_IN = "the proxy in front asks you to sign in again";

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

/** A moment, from which time counts by the clock that went further: the steady one may stand still while this machine sleeps. */
class Moment {
  constructor() {
    this.steady = performance.now();
    this.wall = Date.now();
  }

  /** Returns the milliseconds since this moment. */
  elapsed() {
    return Math.max(performance.now() - this.steady, Date.now() - this.wall);
  }

  /** Returns the milliseconds since this moment that the steady clock did not count. */
  missed() {
    return Date.now() - this.wall - (performance.now() - this.steady);
  }
}

/** The error of a stream that was ended here, with the reason. */
class Lost extends Error {}

/** A document and its age, which counts from the moment at which it arrived. */
export class Received {
  constructor() {
    this.parts = new Map();
    this.trouble = null;
    this.now = null;
    this.at = new Moment();
  }

  take(frame) {
    if (frame.all) this.parts.clear();
    for (const part of frame.parts) this.parts.set(partName(part), part);
    for (const name of frame.gone) this.parts.delete(name);
    this.trouble = frame.trouble;
    this.now = Date.parse(frame.now);
    this.at = new Moment();
  }

  /** Returns the seconds since the document was true. */
  age() {
    return this.at.elapsed() / 1000;
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
  let last = new Moment();
  let watched = last;
  let abort = null;
  /** Ends the stream if this machine has slept: what such a stream still gives is as old as the sleep is long. */
  const wake = () => {
    const slept = watched.missed() > LOST_AFTER;
    watched = new Moment();
    if (!slept) return;
    last = watched;
    on.lost(SLEPT);
    abort.abort(new Lost(SLEPT));
  };
  const watch = setInterval(() => {
    wake();
    if (last.elapsed() > LOST_AFTER) on.lost("the server has not answered for 10 s");
  }, 1000);
  signal.addEventListener("abort", () => clearInterval(watch));
  while (!signal.aborted) {
    abort = new AbortController();
    try {
      const ended = await stream(path, signal, abort, (frame) => {
        wake();
        abort.signal.throwIfAborted();
        last = new Moment();
        wait = FIRST_WAIT;
        received.take(frame);
        on.changed(received);
      });
      if (ended.orderly) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        continue;
      }
      if (signal.aborted) return;
      // Each request may begin another sign-in, and disturb the one that somebody makes meanwhile.
      if (ended.signIn || ended.status === 401) return on.refused(ended);
      if (ended.status === 403 || ended.status === 404 || ended.status === 400) {
        on.refused(ended);
        if (ended.status !== 404) return;
      } else {
        on.lost(ended.message);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Lost) on.lost(error.message);
      else on.lost(error instanceof TypeError ? "the server can't be reached" : "the connection broke off");
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(wait * 2, LONGEST_WAIT);
  }
}

async function stream(path, signal, abort, take) {
  const headers = { accept: "text/event-stream" };
  if (token.get()) headers.authorization = `Bearer ${token.get()}`;
  const began = performance.now();
  const end = () => abort.abort();
  signal.addEventListener("abort", end);
  const silent = () => setTimeout(() => abort.abort(), LOST_AFTER);
  let timer = silent();
  try {
    const how = { headers, signal: abort.signal, credentials: "same-origin", cache: "no-store", redirect: "manual" };
    const answer = await fetch(path, how);
    // The server itself redirects no request, and has no other content.
    if (answer.type === "opaqueredirect") return { signIn: true, message: SIGN_IN };
    if (!answer.ok) return await refusal(answer);
    const type = answer.headers.get("content-type") || "";
    if (!type.startsWith("text/event-stream")) return { signIn: true, message: SIGN_IN };
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

/** Returns the reason of an answer that is no stream: the server's own, or that of a proxy which asks for somebody it knows. */
async function refusal(answer) {
  const { status } = answer;
  const body = await answer.json().catch(() => null);
  if (typeof body?.code === "string" && typeof body?.message === "string") return { status, message: body.message };
  if (status === 401 || status === 403) return { status, signIn: true, message: SIGN_IN };
  return { status, message: `the server answered ${status}` };
}
