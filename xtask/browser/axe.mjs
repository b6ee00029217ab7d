// What axe-core finds on a page: serious and critical findings are errors of the page.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** A line for each serious or critical finding; `packages` is the folder with axe-core. */
export async function findings(page, packages) {
  const source = readFileSync(createRequire(join(packages, "package.json")).resolve("axe-core/axe.min.js"), "utf8");
  // Evaluated by the debugger: the page's own policy lets nothing foreign run, and stays as it is.
  await page.evaluate(source);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return violations
    .filter(({ impact }) => ["serious", "critical"].includes(impact))
    .map(({ id, help, nodes }) => `axe: ${id} (${help}) at ${nodes.slice(0, 3).map((node) => node.target.join(" ")).join(", ")}`);
}
