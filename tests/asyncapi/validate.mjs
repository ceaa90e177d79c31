// Reads an AsyncAPI document from standard input with the official parser: exit code 1 where it says that anything is wrong.

import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync(0, "utf8"));
const wrong = diagnostics.filter((found) => found.severity <= 1 && found.code !== "asyncapi-latest-version");
for (const found of wrong) console.error(`${found.path.join("/")}: ${found.message} (${found.code})`);
if (!document || wrong.length > 0) process.exit(1);
console.log(`${document.channels().all().length} channels, ${document.messages().all().length} messages`);
