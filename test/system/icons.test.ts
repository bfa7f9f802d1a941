import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { Resvg } from "@resvg/resvg-js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = join(root, "resources/generated");
const STATES = ["off", "connecting", "connected", "trouble"];
/** Of a picture's pixels, so many have to differ for two shapes to be told apart at a glance. */
const DIFFERENT = 0.08;

const read = (name: string): Buffer => readFileSync(join(folder, name));

/** Width and height of a PNG (its IHDR). */
function sizeOf(png: Buffer): readonly [number, number] {
  assert.equal(png.toString("latin1", 1, 4), "PNG");
  return [png.readUInt32BE(16), png.readUInt32BE(20)];
}

/** Red, green, blue and alpha of each pixel. */
function pixelsOf(png: Buffer): Buffer {
  const [width, height] = sizeOf(png);
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><image width="${width}" height="${height}" href="data:image/png;base64,${png.toString("base64")}"/></svg>`;
  return new Resvg(svg).render().pixels;
}

/** Which pixels are drawn. */
function shapeOf(png: Buffer): readonly boolean[] {
  const pixels = pixelsOf(png);
  return Array.from({ length: pixels.length / 4 }, (_, pixel) => pixels[4 * pixel + 3]! > 127);
}

describe("the icons", () => {
  before(() => {
    const { status, stderr } = spawnSync(process.execPath, [join(root, "scripts/build-icons.mjs")], {
      encoding: "utf8",
    });
    assert.equal(status, 0, stderr);
  });

  it("of the app are there in every size, for each system", () => {
    for (const size of [16, 24, 32, 48, 64, 128, 256, 512])
      assert.deepEqual(sizeOf(read(`linux/${size}x${size}.png`)), [size, size]);
    assert.deepEqual(sizeOf(read("sockeye.png")), [512, 512]);

    const ico = read("sockeye.ico");
    const entries = Array.from({ length: ico.readUInt16LE(4) }, (_, index) => 6 + 16 * index);
    const inIco = entries.map((at) => {
      const [start, length] = [ico.readUInt32LE(at + 12), ico.readUInt32LE(at + 8)];
      const [width] = sizeOf(ico.subarray(start, start + length));
      assert.equal(ico.readUInt8(at), width % 256);
      return width;
    });
    assert.deepEqual(inIco, [16, 24, 32, 48, 64, 128, 256]);

    const icns = read("sockeye.icns");
    assert.equal(icns.toString("latin1", 0, 4), "icns");
    assert.equal(icns.readUInt32BE(4), icns.length);
    const inIcns: number[] = [];
    for (let at = 8; at < icns.length; at += icns.readUInt32BE(at + 4))
      inIcns.push(sizeOf(icns.subarray(at + 8))[0]);
    assert.deepEqual(
      inIcns.sort((a, b) => a - b),
      [16, 32, 64, 128, 256, 512, 1024],
    );
  });

  it("of the tray are there for each state, scale and system", () => {
    for (const state of STATES) {
      for (const [suffix, scale] of [
        ["", 1],
        ["@1.5x", 1.5],
        ["@2x", 2],
        ["@3x", 3],
      ] as const) {
        assert.equal(sizeOf(read(`${state}${suffix}.png`))[0], Math.round(22 * scale));
        assert.equal(sizeOf(read(`${state}Template${suffix}.png`))[0], Math.round(18 * scale));
      }
      assert.equal(read(`${state}.ico`).readUInt16LE(4), 5);
    }
  });

  it("of the tray differ in shape, not in colour alone", () => {
    for (const [index, one] of STATES.entries()) {
      const shape = shapeOf(read(`${one}.png`));
      for (const other of STATES.slice(index + 1)) {
        const differing = shapeOf(read(`${other}.png`)).filter(
          (drawn, pixel) => drawn !== shape[pixel],
        ).length;
        assert.ok(
          differing / shape.length > DIFFERENT,
          `${one} and ${other}: ${differing} of ${shape.length}`,
        );
      }
    }
  });

  it("of macOS' tray are black and transparent, which is what the system may tint", () => {
    for (const name of readdirSync(folder).filter((each) => each.includes("Template"))) {
      const pixels = pixelsOf(read(name));
      for (let at = 0; at < pixels.length; at += 4) assert.equal(pixels.readUIntBE(at, 3), 0, name);
    }
  });
});
