// Makes src/aftercall.ts of what `aftercall schema` prints on standard input: the types of calls and outcomes.
import { writeFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { compile } from "json-schema-to-typescript";

const { schemas } = JSON.parse(await text(process.stdin));
const options = { bannerComment: "", additionalProperties: false };
const types = [];
for (const name of ["AgentCall", "Outcome"]) {
  types.push(await compile(untitled(schemas[name]), name, options));
}
await writeFile(new URL("src/aftercall.ts", import.meta.url), types.join("\n"));

/** Without the titles that each field has: they would become types of their own. */
function untitled(schema) {
  if (Array.isArray(schema)) return schema.map(untitled);
  if (schema === null || typeof schema !== "object") return schema;
  const kept = Object.entries(schema).filter(([name, value]) => name !== "title" || typeof value !== "string");
  return Object.fromEntries(kept.map(([name, value]) => [name, untitled(value)]));
}
