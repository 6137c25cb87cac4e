// Evaluates what it reads, one JSON object a line, with the OpenFeature SDK for browsers and its OFREP provider. The
// provider asks for all flags once for each context, and again when the event stream announces a change. It does not poll.

import { createInterface } from "node:readline";
import { EventSource } from "eventsource";
import { OpenFeature } from "@openfeature/web-sdk";
import { OFREPWebProvider } from "@openfeature/ofrep-web-provider";

globalThis.EventSource = EventSource;
let current;
async function use(context) {
  const text = JSON.stringify(context);
  if (text !== current) {
    current = text;
    await OpenFeature.setContext(context);
  }
}
const provider = new OFREPWebProvider({ baseUrl: process.argv[2], pollInterval: 0 });
await OpenFeature.setProviderAndWait(provider).catch(() => {});
const client = OpenFeature.getClient();
const evaluations = {
  bool: client.getBooleanDetails,
  int: client.getNumberDetails,
  number: client.getNumberDetails,
  string: client.getStringDetails,
  list: client.getObjectDetails,
  object: client.getObjectDetails,
};
console.log(JSON.stringify({ ready: true }));
for await (const line of createInterface({ input: process.stdin })) {
  const { type, key, default: fallback, targetingKey, attributes } = JSON.parse(line);
  await use(targetingKey === undefined ? attributes : { targetingKey, ...attributes });
  const details = evaluations[type].call(client, key, fallback);
  const { value, variant, reason, errorCode: error, flagMetadata: metadata } = details;
  console.log(JSON.stringify({ value, variant, reason, error, metadata }));
}
process.exit(0);
