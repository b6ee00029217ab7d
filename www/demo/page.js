// What the demos share: elements, numbers in words, and files that are checked by their hash.

/** Largest deviation from the native program that is shown at all. */
export const TOLERANCE = 1e-3;

export const $ = (id) => document.getElementById(id);

export function element(tag, attributes = {}, text) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** What was thrown, in words: the module throws texts. */
export const reason = (error) => String(error?.message ?? error);

/** The page goes on without models, and says why. */
export function fail(text) {
  $("backend").textContent = text;
  $("backend").className = "error";
  $("progress").hidden = true;
  document.body.dataset.state = "failed";
}

/** Why a page cannot show its models, and what there is all the same: what it `knows` is null where not even that came. */
export function unshown(error, knows) {
  const remains = knows ? "The example above was computed beforehand." : "`cargo xtask www` builds the site that they belong to.";
  fail(`The models cannot be shown: ${reason(error)}. ${remains}`);
}

export const percent = (p) => p >= 0.9995 ? "100 %" : p < 0.0005 ? "0 %" : `${(100 * p).toFixed(p < 0.1 ? 1 : 0)} %`;

export const interval = ({ value, lo, hi }, digits = 2) => `${value.toFixed(digits)} [${lo.toFixed(digits)}, ${hi.toFixed(digits)}]`;

export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e8 ? 1 : 0)} MB`;

/** Lets the browser draw and answer before the next piece of work. */
export const breath = () => new Promise((resolve) => { setTimeout(resolve); });

/** Shows how much has come of what will come, and about when the rest is there. */
export function meter(total, what = "Loading") {
  const begun = performance.now();
  let have = 0;
  $("progress").hidden = false;
  return (bytes) => {
    have += bytes;
    // What is still on its way when the page has failed does not take the reason's place.
    if (document.body.dataset.state === "failed") return;
    const left = (performance.now() - begun) / 1000 * (total - have) / Math.max(have, 1);
    $("progress").value = Math.min(1, have / total);
    const rest = left >= 1 ? `, about ${Math.ceil(left)} s left` : "";
    $("backend").textContent = `${what}: ${megabytes(have)} of ${megabytes(total)}${rest}`;
  };
}

/** What a page knows before it has loaded a model. */
export async function manifest(file) {
  const response = await fetch(file);
  if (!response.ok) throw new Error(`${file}: the server says ${response.status}`);
  return response.json();
}

/** The bytes of a published file; what is broken is asked for once more, and never used. `progress` hears of each part. */
export async function fetched(folder, { file, bytes, sha256 }, progress = () => {}) {
  for (let attempt = 0; ; attempt += 1) {
    const response = await fetch(`${folder}/${file}`, { cache: attempt ? "reload" : "default" });
    if (!response.ok) throw new Error(`${file}: the server says ${response.status}`);
    const reader = response.body.getReader(), parts = [];
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      parts.push(part.value);
      progress(attempt ? 0 : part.value.length);
    }
    const whole = new Uint8Array(await new Blob(parts).arrayBuffer());
    // Browsers give hashes to pages of secure origins alone, this machine's own among them.
    const hash = await digest(whole);
    if (whole.length === bytes && (hash === null || hash === sha256)) return whole;
    if (attempt) throw new Error(`${file}: what was downloaded is not what was published`);
  }
}

/** SHA-256 in hexadecimal, where the browser computes it. */
export async function digest(bytes) {
  const hash = crypto.subtle ? await crypto.subtle.digest("SHA-256", bytes) : null;
  return hash && [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Runs `work` whenever asked; while it runs, at most one more turn waits, however often it is asked for. */
export function latest(work) {
  let busy = null, again = false;
  const run = async () => {
    do {
      again = false;
      await work();
    } while (again);
    busy = null;
  };
  return () => {
    if (busy) again = true;
    else busy = run();
    return busy;
  };
}
