// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import * as pulumi from "@pulumi/pulumi";
import { asBase85 } from "./base85";
import { withoutComments } from "./comments";
import { compileObjects } from "./compile";
import { packageRoot } from "./package-root";
import { asTar } from "./tar";

/** Where the objects come from. */
export type ObjectOrigin = "prebuilt" | "target" | "deployer";

/** What the first step sends. */
export interface Bundle {
  /** A script for `sh -s`: the header, then the archive as text. */
  readonly script: string;
  /** Of the archive, for the host to compare. */
  readonly digest: string;
  /** The host has to compile. */
  readonly isSource: boolean;
  /** What tells one generation from another; not the objects where a compiler of another version could change them. */
  readonly identity: Buffer;
}

export type Files = ReadonlyMap<string, Buffer>;

/** Pulumi keeps what is sent twice per host in its state. */
export const largestBundle = 128 * 1024;
/** With an object that is sent on demand, or packed only now because it was only now compiled. */
const largestOther = 160 * 1024;

/** Objects that are sent only where they are asked for. */
const extraNames = ["adopt"] as const;
export type Extra = (typeof extraNames)[number];

const bundles = new Map<string, Bundle>();

/** Reads (and for "deployer" compiles) the files once per run. machine is what `uname -m` says on the host: one probe is sent. */
export function bundleFor(origin: ObjectOrigin, machine: string, extras: readonly Extra[] = []): Bundle {
  const key = `${origin} ${machine} ${extras}`;
  const known = bundles.get(key) ?? pack(origin, machine, extras);
  bundles.set(key, known);
  return known;
}

/** Twelve hex digits that change whenever the host must get a new generation: other content, or maps of another size. */
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
  const identity = packageArchive(origin === "prebuilt" ? "prebuilt" : "target", machine, extras);
  const sent = origin === "deployer" ? archiveOf(compileObjects(), machine, extras) : identity;
  return {
    script: asScript(sent, machine, extras.length > 0 || origin === "deployer" ? largestOther : largestBundle),
    digest: createHash("sha256").update(sent).digest("hex"),
    isSource: origin === "target",
    identity,
  };
}

/** What a host is sent of the package's own files; host/pack.mjs packs it when the package is built. */
export function packageArchive(origin: "prebuilt" | "target", machine: string, extras: readonly Extra[] = []): Buffer {
  const objects = () => readFolder(built(), (file) => file.endsWith(".bpf.o"));
  return archiveOf(origin === "prebuilt" ? objects() : sources(), machine, extras);
}

function archiveOf(files: Files, machine: string, extras: readonly Extra[]): Buffer {
  const mine = onlyWith(extras, files).filter(([file]) => !isOfOther(machine, file));
  return archive(new Map([...tools(machine), ...mine]));
}

/** System calls have other names on each type of machine, so one object of the splice guard is for one type. */
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
  const files = readFolder(path.join(packageRoot(), "bpf"), (file) => /\.([ch]|sh)$/.test(file));
  return new Map([...files].map(([name, data]) => [name, Buffer.from(withoutComments(name, data.toString()))]));
}

/** The same files give the same bytes on every machine and day. Objects stand together: they are alike, and gzip looks back 32 KiB. */
export function archive(files: Files): Buffer {
  const place = (name: string) => `${path.extname(name) === ".o" ? 0 : 1}${name}`;
  const names = [...files.keys()].sort((a, b) => (place(a) < place(b) ? -1 : 1));
  return asTar(names.map((name) => [name, files.get(name) ?? Buffer.alloc(0)]));
}

/** The archive goes before the last line of the header, which ends the here-document that it is read from. */
export function asScript(tar: Buffer, machine = "", largest = largestBundle): string {
  const text = asBase85(packedBefore(tar, machine) ?? packNow(tar)).replace(/.{1,1000}/g, "$&\n");
  const header = fs.readFileSync(path.join(packageRoot(), "host", "unpack.sh"), "utf8");
  const script = withoutComments("unpack.sh", header)
    .replace(/\n+/g, "\n")
    .replace(/__BUNDLE__\n$/, `${text}__BUNDLE__\n`);
  if (script.length > largest) {
    throw new pulumi.RunError(
      `socket-bypass: bundle: expected at most ${largest} bytes as sent, found ${script.length}; ` +
        `leave something out of dist/host, or use object.compile "prebuilt"`,
    );
  }
  return script;
}

/** Tighter than gzip does it, and only what was there when the package was built. */
function packedBefore(tar: Buffer, machine: string): Buffer | undefined {
  const files = ["prebuilt", "target"].map((origin) => path.join(built(), `${origin}-${machine}.gz`));
  const packed = files.filter((file) => fs.existsSync(file)).map((file) => fs.readFileSync(file));
  return packed.find((one) => gunzipSync(one).equals(tar));
}

export function packNow(tar: Buffer): Buffer {
  // Short blocks suit a text beside machine code: memLevel 6 is 2 % smaller than 8 here, and 9 is larger.
  const packed = gzipSync(tar, { level: 9, memLevel: 6 });
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
