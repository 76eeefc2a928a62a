// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import * as pulumi from "@pulumi/pulumi";
import { asTar } from "./archive";
import { compileObjects } from "./compile";
import { packageRoot } from "./package-root";

/** Where the objects come from. */
export type ObjectOrigin = "prebuilt" | "target" | "deployer";

/** What a host is sent before its first step. */
export interface Bundle {
  /** A tar, compressed by gzip. */
  readonly packed: Buffer;
  /** The SHA-256 of the tar, which the host compares. */
  readonly digest: string;
  /**
   * The bytes that tell one generation from another. They leave out objects that are compiled
   * outside the package, because another version of the compiler could change those.
   */
  readonly identity: Buffer;
}

export type Files = ReadonlyMap<string, Buffer>;

/** Objects that are sent only to hosts that ask for them. */
const extraNames = ["adopt"] as const;
export type Extra = (typeof extraNames)[number];

const bundles = new Map<string, Bundle>();

/**
 * Reads (and for "deployer" compiles) the files once per run. `machine` is what `uname -m` prints
 * on the host; the bundle holds the probe for that machine only.
 */
export function bundleFor(origin: ObjectOrigin, machine: string, extras: readonly Extra[] = []): Bundle {
  const key = `${origin} ${machine} ${extras}`;
  const known = bundles.get(key) ?? pack(origin, machine, extras);
  bundles.set(key, known);
  return known;
}

/**
 * Twelve hex digits that change whenever the host must get a new generation: other content, or maps
 * of another size.
 */
export function generationOf(
  bundle: Pick<Bundle, "identity">,
  origin: ObjectOrigin,
  size: { readonly sockets: number; readonly pendingPairs: number },
): string {
  const compiled = origin === "prebuilt" ? "" : ` compile=${origin}`;
  const shape = `sockets=${size.sockets} pending=${size.pendingPairs}${compiled}`;
  return createHash("sha256").update(bundle.identity).update(shape).digest("hex").slice(0, 12);
}

function pack(origin: ObjectOrigin, machine: string, extras: readonly Extra[]): Bundle {
  const mine = origin === "prebuilt" ? "prebuilt" : "target";
  const before = extras.length === 0 ? packedBefore(mine, machine) : undefined;
  const identity = before === undefined ? packageArchive(mine, machine, extras) : gunzipSync(before);
  const sent = origin === "deployer" ? archiveOf(compileObjects(), machine, extras) : identity;
  return {
    packed: sent === identity && before !== undefined ? before : packNow(sent),
    digest: createHash("sha256").update(sent).digest("hex"),
    identity,
  };
}

/** Finds the bundle that host/build/pack.mjs compressed when the package was built. */
function packedBefore(origin: "prebuilt" | "target", machine: string): Buffer | undefined {
  const file = path.join(built(), `${origin}-${machine}.tar.gz`);
  return fs.existsSync(file) ? fs.readFileSync(file) : undefined;
}

/**
 * Makes the archive of the package's own files that a host receives. host/build/pack.mjs compresses
 * it when the package is built.
 */
export function packageArchive(origin: "prebuilt" | "target", machine: string, extras: readonly Extra[] = []): Buffer {
  const objects = () => readFolder(built(), (file) => file.endsWith(".bpf.o"));
  return archiveOf(origin === "prebuilt" ? objects() : sources(), machine, extras);
}

function archiveOf(files: Files, machine: string, extras: readonly Extra[]): Buffer {
  const mine = onlyWith(extras, files).filter(([file]) => !isOfOther(machine, file));
  return archive(new Map([...tools(machine), ...mine]));
}

/**
 * System calls have other names on each machine type, so each object of the splice guard by system
 * calls belongs to one machine type.
 */
function isOfOther(machine: string, file: string): boolean {
  return file.startsWith(machine === "x86_64" ? "splice_arm64." : "splice_x86.");
}

/** Leaves out the optional objects, or their sources, that nobody asked for. */
export function onlyWith(extras: readonly Extra[], files: Files): [string, Buffer][] {
  const left = extraNames.filter((name) => !extras.includes(name));
  return [...files].filter(([file]) => !left.some((name) => file.startsWith(`${name}.bpf.`)));
}

export function built(): string {
  return path.join(packageRoot(), "dist", "host");
}

function tools(machine: string): Files {
  const files = readFolder(built(), (file) => file === "socket-bypass" || file === `probe-${machine}`);
  if (files.size !== 2) {
    throw new pulumi.RunError(`socket-bypass: host: expected a machine of type x86_64 or aarch64, found ${machine}`);
  }
  return files;
}

export function sources(): Files {
  return readFolder(path.join(packageRoot(), "bpf"), (file) => /\.([ch]|sh)$/.test(file));
}

/**
 * The same files give the same bytes on every machine and day. Objects stand next to each other
 * because they resemble each other and gzip looks back only 32 KiB.
 */
export function archive(files: Files): Buffer {
  const place = (name: string) => `${path.extname(name) === ".o" ? 0 : 1}${name}`;
  const names = [...files.keys()].sort((a, b) => (place(a) < place(b) ? -1 : 1));
  return asTar(names.map((name) => [name, files.get(name) ?? Buffer.alloc(0)]));
}

export function packNow(data: Buffer): Buffer {
  // Short blocks suit text beside machine code: memLevel 6 gives an archive 2 % smaller than 8 does
  // for these files, and 9 a larger one.
  const packed = gzipSync(data, { level: 9, memLevel: 6 });
  // The tenth byte names the operating system that packed it.
  packed[9] = 255;
  return packed;
}

export function readFolder(folder: string, wanted: (file: string) => boolean): Files {
  const files = fs.existsSync(folder) ? fs.readdirSync(folder).filter(wanted) : [];
  if (files.length === 0) {
    throw new pulumi.RunError(
      `socket-bypass: ${path.relative(packageRoot(), folder)}: expected the files of the bundle, found none; run \`npm run build\``,
    );
  }
  return new Map(files.map((file) => [file, fs.readFileSync(path.join(folder, file))]));
}
