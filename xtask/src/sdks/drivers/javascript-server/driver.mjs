// Evaluates what it reads, one JSON object a line, with the OpenFeature SDK for servers and its OFREP provider.

import { createInterface } from "node:readline";
import { OpenFeature } from "@openfeature/server-sdk";
import { OFREPProvider } from "@openfeature/ofrep-provider";

await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl: process.argv[2] }));
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
  const context = targetingKey === undefined ? attributes : { targetingKey, ...attributes };
  const details = await evaluations[type].call(client, key, fallback, context);
  const { value, variant, reason, errorCode: error, flagMetadata: metadata } = details;
  console.log(JSON.stringify({ value, variant, reason, error, metadata }));
}
