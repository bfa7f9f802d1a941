import { crc32 } from "node:zlib";
import { writeFileSync } from "node:fs";

/** Where @electron/fuses finds the fuses of a program: this text, a version, their number, and a letter for each. */
const SENTINEL = "dL7pKGdnNz796PbbjQWNKmHXBZaB9tsX";
const FACTORY_FUSES = "101100011";

/** Writes what passes for Electron's download of Linux: a program that is nothing but its fuses, and the files around it. */
export function writeElectronZip(path: string, version: string): void {
  const program = Buffer.from(
    `\x7fELF${SENTINEL}\x01${String.fromCharCode(FACTORY_FUSES.length)}${FACTORY_FUSES}`,
    "latin1",
  );
  writeFileSync(
    path,
    zip({
      electron: program,
      "chrome-sandbox": Buffer.from("x"),
      version: Buffer.from(version),
      LICENSE: Buffer.from("x"),
      "resources/default_app.asar": Buffer.from("x"),
      "locales/en-US.pak": Buffer.from("x"),
    }),
  );
}

/** The fuses of a program, from number 0: "0" off, "1" on. */
export function fusesOf(program: Buffer): string {
  const at = program.indexOf(SENTINEL, 0, "latin1") + SENTINEL.length;
  return program.toString("latin1", at + 2, at + 2 + program.readUInt8(at + 1));
}

/** An archive of files as they are (APPNOTE.TXT 4.3), each of which may be run. */
function zip(files: Readonly<Record<string, Buffer>>): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, content] of Object.entries(files)) {
    const shared = Buffer.alloc(26);
    shared.writeUInt16LE(20, 0);
    shared.writeUInt32LE(crc32(content), 10);
    shared.writeUInt32LE(content.length, 14);
    shared.writeUInt32LE(content.length, 18);
    shared.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from("PK\x03\x04"), shared, Buffer.from(name), content]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE((0o100755 << 16) >>> 0, 6);
    tail.writeUInt32LE(offset, 10);
    directory.push(
      Buffer.concat([Buffer.from("PK\x01\x02\x14\x03", "latin1"), shared, tail, Buffer.from(name)]),
    );
    parts.push(local);
    offset += local.length;
  }
  const index = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(directory.length, 8);
  end.writeUInt16LE(directory.length, 10);
  end.writeUInt32LE(index.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, index, end]);
}
