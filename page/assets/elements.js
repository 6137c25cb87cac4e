// Makes elements. A text is always the text of a node, so that no word of a workspace or a commit is markup.

/** Returns an element with these properties and children. A child is an element, a text, or nothing. */
export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  fill(made, ...children);
  return made;
}

/** Replaces the children of an element. */
export function fill(parent, ...children) {
  const there = children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false);
  parent.replaceChildren(...there.map((child) => (child instanceof Node ? child : document.createTextNode(child))));
}

/** Sets a text, if it is another one: a text that stays keeps what is selected of it. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Returns a length of time in one unit. */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 120) return `${whole} s`;
  if (whole < 7200) return `${Math.floor(whole / 60)} min`;
  if (whole < 172800) return `${Math.floor(whole / 3600)} h`;
  return `${Math.floor(whole / 86400)} days`;
}

// The difference of two clocks that is no fault, in seconds: a time may be this far in the future.
const CLOCKS_DIFFER = 60;

/** Returns whether an age is that of a time too far in the future to come from a clock that is right. */
export function isAhead(seconds) {
  return seconds < -CLOCKS_DIFFER;
}

/** Returns `12 s ago`, or `3 h in the future`. */
export function ago(seconds) {
  return isAhead(seconds) ? `${duration(-seconds)} in the future` : `${duration(seconds)} ago`;
}

/** Returns milliseconds as people read them. */
export function millis(value) {
  if (value < 10000) return `${value} ms`;
  return value < 120000 ? `${(value / 1000).toFixed(1)} s` : duration(value / 1000);
}

/** Returns `1 error` or `2 errors`. */
export function count(number, what) {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

/** Returns the first digits of a revision or a fingerprint. */
export function short(revision) {
  return (revision || "").split(":").pop().slice(0, 8);
}

/** Returns a button that copies a command, and the command. */
export function command(text) {
  const button = element("button", { type: "button", class: "copy", "aria-label": `Copy: ${text}` }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      setText(button, "Copied");
    } catch {
      getSelection().selectAllChildren(button.previousElementSibling);
      setText(button, "Selected");
    }
    setTimeout(() => setText(button, "Copy"), 2000);
  });
  return element("span", { class: "command" }, element("code", {}, text), button);
}
