// A visitor's picture: read, measured before it is decoded, and shown as the models see it.
import { $, reason } from "./page.js";

const LARGEST = 40e6;     // pixels of a picture that is decoded
const EDGE = 512;         // no encoder here sees more along an edge

/** Width times height, which a browser tells before it decodes. */
function area(source) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    const url = URL.createObjectURL(source);
    const end = (settle, value) => { URL.revokeObjectURL(url); settle(value); };
    image.addEventListener("load", () => end(resolve, image.naturalWidth * image.naturalHeight));
    image.addEventListener("error", () => end(reject, new Error("it is no picture that this browser knows")));
    image.src = url;
  });
}

/** The picture in a file; throws a sentence. */
export async function decoded(source, id, name) {
  try {
    const pixels = await area(source);
    if (pixels > LARGEST) throw new Error(`it has ${Math.round(pixels / 1e6)} megapixels`);
    const bitmap = await createImageBitmap(source);
    const scale = Math.min(1, EDGE / Math.max(bitmap.width, bitmap.height));
    const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0, width, height);
    bitmap.close();
    const { data } = context.getImageData(0, 0, width, height);
    return { rgba: new Uint8Array(data.buffer), width, height, id, name };
  } catch (error) {
    throw new Error(`This picture cannot be read (${reason(error)}); take a PNG, JPEG or WebP of at most 40 megapixels.`);
  }
}

/** A published sample. */
export async function sample({ file, id, class: name }) {
  const response = await fetch(`data/${file}`);
  if (!response.ok) throw new Error(`${file}: the server says ${response.status}`);
  return decoded(await response.blob(), id, name);
}

/** Buttons of the samples; `chosen` hears of their number. */
export function samples(all, chosen) {
  for (const [at, { file, class: name }] of all.entries()) {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", title: name, ariaLabel: name, ariaPressed: String(at === 0) });
    button.append(Object.assign(new Image(40, 40), { src: `data/${file}`, alt: "" }));
    button.addEventListener("click", () => {
      for (const other of $("samples").children) other.ariaPressed = String(other === button);
      chosen(at);
    });
    $("samples").append(button);
  }
}

/** Hears of pictures that are chosen, pasted, or dropped on the canvas; `elsewhere` gets what is dropped beside it. */
export function offered(pick, elsewhere = pick) {
  $("upload").addEventListener("change", () => $("upload").files[0] && pick($("upload").files[0]));
  document.addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files][0];
    if (file) pick(file);
  });
  document.addEventListener("dragover", (event) => { event.preventDefault(); $("canvas").classList.add("over"); });
  document.addEventListener("dragleave", () => $("canvas").classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    $("canvas").classList.remove("over");
    if (elsewhere !== pick && event.target !== $("canvas")) elsewhere(event.dataTransfer);
    else if (event.dataTransfer.files[0]) pick(event.dataTransfer.files[0]);
  });
}

/** Shows bytes on the canvas. */
export function draw({ rgba, width, height }) {
  Object.assign($("canvas"), { width, height });
  $("canvas").getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(rgba), width, height), 0, 0);
}
