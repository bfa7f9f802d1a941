// Draws every size of every icon from the SVGs in resources/ into resources/generated, unless that was done from these very
// files. Pictures for the tray are one shape each; its colour is the system's on macOS, and otherwise one that is seen on dark and
// light panels.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Resvg } from "@resvg/resvg-js";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const resources = join(root, "resources");
const output = join(resources, "generated");

/** Of the tray's states. */
const colours = { off: "#8b9699", connecting: "#4f9fb5", connected: "#14a598", trouble: "#e08a1e" };
/** The pixels of a picture of the tray, at one, one and a half, two and three times. */
const trayScales = { "": 1, "@1.5x": 1.5, "@2x": 2, "@3x": 3 };
const TRAY_SIZE = { linux: 22, mac: 18 };

/** Icon types of Apple's format that hold a PNG of that size. */
const icnsTypes = { icp4: 16, icp5: 32, icp6: 64, ic07: 128, ic08: 256, ic09: 512, ic10: 1024 };

const wanted = digest();
const stamp = join(output, ".sources");
if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== wanted) {
  rmSync(output, { recursive: true, force: true });
  mkdirSync(join(output, "linux"), { recursive: true });
  drawApp();
  drawTray();
  writeFileSync(stamp, wanted);
}

function drawApp() {
  const svg = readFileSync(join(resources, "icon.svg"), "utf8");
  const png = (size) => draw(svg, size);
  write("sockeye.png", png(512));
  for (const size of [16, 24, 32, 48, 64, 128, 256, 512]) write(`linux/${size}x${size}.png`, png(size));
  write("sockeye.ico", ico([16, 24, 32, 48, 64, 128, 256].map((size) => [size, png(size)])));
  write("sockeye.icns", icns(Object.entries(icnsTypes).map(([type, size]) => [type, png(size)])));
}

function drawTray() {
  for (const [state, colour] of Object.entries(colours)) {
    const svg = readFileSync(join(resources, "tray", `${state}.svg`), "utf8");
    const coloured = svg.replaceAll("currentColor", colour);
    const black = svg.replaceAll("currentColor", "#000");
    for (const [suffix, scale] of Object.entries(trayScales)) {
      write(`${state}${suffix}.png`, draw(coloured, Math.round(TRAY_SIZE.linux * scale)));
      write(`${state}Template${suffix}.png`, draw(black, Math.round(TRAY_SIZE.mac * scale)));
    }
    write(`${state}.ico`, ico([16, 20, 24, 32, 48].map((size) => [size, draw(coloured, size)])));
  }
}

function draw(svg, size) {
  return new Resvg(svg, { fitTo: { mode: "width", value: size }, font: { loadSystemFonts: false } })
    .render()
    .asPng();
}

function write(name, content) {
  writeFileSync(join(output, name), content);
}

/** Windows' icon file: a directory of entries, each here a PNG. 256 is written as 0. */
function ico(pictures) {
  const head = Buffer.alloc(6 + 16 * pictures.length);
  head.writeUInt16LE(1, 2);
  head.writeUInt16LE(pictures.length, 4);
  let offset = head.length;
  pictures.forEach(([size, png], index) => {
    const entry = 6 + 16 * index;
    head.writeUInt8(size % 256, entry);
    head.writeUInt8(size % 256, entry + 1);
    head.writeUInt16LE(1, entry + 4);
    head.writeUInt16LE(32, entry + 6);
    head.writeUInt32LE(png.length, entry + 8);
    head.writeUInt32LE(offset, entry + 12);
    offset += png.length;
  });
  return Buffer.concat([head, ...pictures.map(([, png]) => png)]);
}

/** Apple's icon file: "icns", its length, then blocks of a type, a length and a PNG. */
function icns(pictures) {
  const blocks = pictures.map(([type, png]) => Buffer.concat([header(type, png.length + 8), png]));
  const length = blocks.reduce((sum, block) => sum + block.length, 8);
  return Buffer.concat([header("icns", length), ...blocks]);
}

function header(type, length) {
  const bytes = Buffer.alloc(8);
  bytes.write(type, "latin1");
  bytes.writeUInt32BE(length, 4);
  return bytes;
}

function digest() {
  const hash = createHash("sha256");
  const tray = readdirSync(join(resources, "tray")).map((name) => join("tray", name));
  for (const file of [
    fileURLToPath(import.meta.url),
    ...["icon.svg", ...tray.sort()].map((name) => join(resources, name)),
  ])
    hash.update(readFileSync(file)).update("\0");
  return hash.digest("hex");
}
