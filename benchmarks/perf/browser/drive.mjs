// Lets programs take turns in a headless browser: node drive.mjs PLAN.json; prints an object a line.
// The plan: { chromium, packages, folders: { "pkg": DIR, "ort": DIR, "models": DIR }, rounds, turns: [{ program, backend, threads, model, runs }] }
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { createReadStream, existsSync, readFileSync, statSync } from "node:fs";
import { extname, join, normalize, sep } from "node:path";

const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const { chromium: browsers } = createRequire(join(plan.packages, "package.json"))("playwright-core");
const TYPES = { ".html": "text/html", ".mjs": "text/javascript", ".js": "text/javascript", ".wasm": "application/wasm", ".json": "application/json" };

const server = createServer((request, response) => {
  const path = normalize(decodeURIComponent(new URL(request.url, "http://x").pathname)).slice(1);
  const [folder] = path.split(sep);
  const file = plan.folders[folder] ? join(plan.folders[folder], path.slice(folder.length)) : join(import.meta.dirname, path);
  if (path.includes("..") || !existsSync(file) || !statSync(file).isFile()) return response.writeHead(404).end();
  response.writeHead(200, {
    "content-type": TYPES[extname(file)] ?? "application/octet-stream",
    "content-length": statSync(file).size,
    // Without these a browser gives no shared memory, and onnxruntime-web no second thread.
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cache-control": "no-store",
  });
  createReadStream(file).pipe(response);
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const address = `http://127.0.0.1:${server.address().port}/page.html`;

for (let round = 0; round < plan.rounds; round += 1) {
  for (const turn of plan.turns) {
    // A browser of its own: nothing of another turn is warm.
    const browser = await browsers.launch({
      executablePath: plan.chromium,
      args: ["--headless", "--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
    });
    const page = await browser.newPage();
    await page.goto(`${address}?${new URLSearchParams(turn)}`);
    const waited = page.waitForFunction(() => window.result, null, { timeout: 600_000 });
    const result = await waited.then((handle) => handle.jsonValue(), (error) => ({ error: String(error) }));
    console.log(JSON.stringify({ round, ...turn, ...result }));
    await browser.close();
  }
}
server.close();
