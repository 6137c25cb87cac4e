// Drives one Chromium by commands from stdin, a line of JSON each, and answers each with a line of JSON.

import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 900 } });
const page = await context.newPage();
const noted = [];
page.on("console", (message) => message.type() === "error" && noted.push(message.text()));
page.on("pageerror", (error) => noted.push(String(error)));
page.on("request", (request) => noted.push(`request ${new URL(request.url()).origin}`));
page.setDefaultTimeout(20000);

const commands = {
  open: (url) => page.goto(url),
  fill: ([selector, text]) => page.fill(selector, text),
  click: (selector) => page.click(selector),
  press: (key) => page.keyboard.press(key),
  // Waits until the page shows a text.
  wait: (text) => page.waitForFunction((text) => document.body.innerText.includes(text), text),
  evaluate: (script) => page.evaluate(script),
  text: () => page.evaluate(() => document.body.innerText),
  scheme: (colorScheme) => page.emulateMedia({ colorScheme }),
  size: ([width, height]) => page.setViewportSize({ width, height }),
  shot: (path) => page.screenshot({ path, animations: "disabled" }),
  noted: () => noted.splice(0),
};

for await (const line of createInterface({ input: process.stdin })) {
  const [[name, value]] = Object.entries(JSON.parse(line));
  try {
    const answer = await commands[name](value);
    const plain = ["evaluate", "text", "noted"].includes(name) ? answer : null;
    console.log(JSON.stringify({ value: plain ?? null }));
  } catch (error) {
    const text = await page.evaluate(() => document.body.innerText).catch(() => "");
    console.log(JSON.stringify({ error: `${name} ${JSON.stringify(value)}: ${error.message}\n${text}` }));
  }
}
await browser.close();
