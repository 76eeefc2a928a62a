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
  /** A tar, packed by gzip. */
  readonly packed: Buffer;
  /** Of the tar, for the host to compare. */
  readonly digest: string;
  /** The host has to compile. */
  readonly isSource: boolean;
  /**
   * What tells one generation from another; not the objects where a compiler of another version
   * could change them.
   */
  readonly identity: Buffer;
}

export type Files = ReadonlyMap<string, Buffer>;

/** Objects that are sent only where they are asked for. */
const extraNames = ["adopt"] as const;
export type Extra = (typeof extraNames)[number];

const bundles = new Map<string, Bundle>();

/**
 * Reads (and for "deployer" compiles) the files once per run. machine is what `uname -m` says on
 * the host: one probe is sent.
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
    isSource: origin === "target",
    identity,
  };
}

/** By host/build/pack.mjs, when the package was built. */
function packedBefore(origin: "prebuilt" | "target", machine: string): Buffer | undefined {
  const file = path.join(built(), `${origin}-${machine}.tar.gz`);
  return fs.existsSync(file) ? fs.readFileSync(file) : undefined;
}

/**
 * What a host is sent of the package's own files; host/build/pack.mjs packs it when the package is
 * built.
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
 * System calls have other names on each type of machine, so one object of the splice guard is for
 * one type.
 */
function isOfOther(machine: string, file: string): boolean {
  return file.startsWith(machine === "x86_64" ? "splice_arm64." : "splice_x86.");
}

/** Without the objects, or sources, that nobody asked for. */
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
 * The same files give the same bytes on every machine and day. Objects stand together: they are
 * alike, and gzip looks back 32 KiB.
 */
export function archive(files: Files): Buffer {
  const place = (name: string) => `${path.extname(name) === ".o" ? 0 : 1}${name}`;
  const names = [...files.keys()].sort((a, b) => (place(a) < place(b) ? -1 : 1));
  return asTar(names.map((name) => [name, files.get(name) ?? Buffer.alloc(0)]));
}

export function packNow(data: Buffer): Buffer {
  // Short blocks suit a text beside machine code: memLevel 6 is 2 % smaller than 8 here, and 9 is
  // larger.
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
