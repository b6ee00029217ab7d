// What the tests of the demos share: a browser with WebGPU in software, pages that are listened to, and pictures of them.
import { createRequire } from "node:module";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { findings } from "./axe.mjs";
import { listen } from "./heard.mjs";

/** Ready to test the page at `url`; arguments are those of the test: URL PACKAGES CHROMIUM PICTURES, and what is its own. */
export async function stage([url, packages, chromium, pictures, ...rest]) {
  const { chromium: browsers } = createRequire(join(packages, "package.json"))("playwright-core");
  mkdirSync(pictures, { recursive: true });
  const wrong = [];
  const expect = (holds, what) => { if (!holds) wrong.push(what); };
  const browser = await browsers.launch({
    executablePath: chromium,
    args: ["--headless", "--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });

  // What was wrong until then says more than where the test could not go on.
  process.on("uncaughtException", (error) => {
    for (const line of [...wrong, String(error.stack).slice(0, 1000)]) console.error(line);
    process.exit(1);
  });

  /** A page of its own, with what it complains of and what it asks of others, once it says how it stands. */
  async function open(options = {}, before = async () => {}, query = "") {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    const heard = listen(page, url);
    await before(page);
    await page.goto(url + query);
    await page.waitForSelector("body[data-state]", { timeout: 180_000 });
    return { page, heard, state: await page.getAttribute("body", "data-state"), close: () => context.close() };
  }

  const text = (page, id) => page.textContent(`#${id}`);

  /** Waits until an element says something else or something that holds `part`. */
  async function says(page, id, part) {
    const holds = ([id, part]) => document.getElementById(id).textContent.includes(part);
    await page.waitForFunction(holds, [id, part], { timeout: 30_000 }).catch(async () => wrong.push(`#${id} never says “${part}”, but “${await text(page, id)}”`));
  }

  /** Light, dark and on a phone: a picture, nothing that scrolls sideways, nothing serious for axe-core. */
  async function looks(name, prepare = async () => {}, query = "") {
    const all = [
      ["light", { viewport: { width: 1280, height: 900 } }],
      ["dark", { viewport: { width: 1280, height: 900 }, colorScheme: "dark" }],
      ["phone", { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 }],
    ];
    for (const [look, options] of all) {
      const { page, heard, close } = await open(options, undefined, query);
      await prepare(page);
      const sideways = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(sideways <= 0, `${name}, ${look}: the page scrolls sideways by ${sideways} px`);
      for (const finding of await findings(page, packages)) wrong.push(`${name}, ${look}: ${finding}`);
      await page.screenshot({ path: join(pictures, `${name}-${look}.png`), fullPage: true });
      expect(heard.length === 0, `${name}, ${look}: heard complaining: ${heard.join("; ")}`);
      await close();
    }
  }

  /** Another tab in front for a while, as a visitor leaves and comes back. */
  async function leave(page) {
    const other = await page.context().newPage();
    await other.bringToFront();
    await other.waitForTimeout(500);
    await other.close();
    await page.bringToFront();
  }

  /** Prints what is wrong and ends with 1 if anything is. */
  async function end() {
    await browser.close();
    for (const line of wrong) console.error(line);
    console.log(`pictures: ${pictures}`);
    process.exit(wrong.length ? 1 : 0);
  }

  return { url, browser, pictures, rest, wrong, expect, open, text, says, looks, leave, end };
}

/** Changes a byte in the middle of whatever is fetched by this pattern; counts how often it is asked for. */
export async function damaged(page, pattern) {
  const seen = { asked: 0 };
  await page.route(pattern, async (route) => {
    seen.asked += 1;
    const body = Buffer.from(await (await route.fetch()).body());
    body[body.length >> 1] ^= 0x40;
    await route.fulfill({ body });
  });
  return seen;
}

/** A picture of 100 megapixels in a few kilobytes: one bit a pixel, all the same. */
export async function huge() {
  const { crc32, deflateSync } = await import("node:zlib");
  const edge = 10_000;
  const chunk = (kind, data) => {
    const body = Buffer.concat([Buffer.from(kind, "latin1"), data]);
    const out = Buffer.alloc(body.length + 8);
    out.writeUInt32BE(data.length, 0);
    body.copy(out, 4);
    out.writeUInt32BE(crc32(body), body.length + 4);
    return out;
  };
  const head = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
  head.writeUInt32BE(edge, 0);
  head.writeUInt32BE(edge, 4);
  const rows = deflateSync(Buffer.alloc(edge * (edge / 8 + 1)));
  return Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), chunk("IHDR", head), chunk("IDAT", rows), chunk("IEND", Buffer.alloc(0))]);
}
