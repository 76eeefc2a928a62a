// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import * as pulumi from "@pulumi/pulumi";
import {
  built,
  type Extra,
  type Files,
  generationOf,
  type ObjectOrigin,
  onlyWith,
  readFolder,
  sources,
} from "./bundle";
import { compileObjects } from "./compile";
import { packageRoot } from "./package-root";

/** What a ConfigMap brings to the pods of a pool, whose nodes may be of either type of machine. */
export interface PodFiles {
  readonly texts: Readonly<Record<string, string>>;
  /** In base 64. */
  readonly binaries: Readonly<Record<string, string>>;
  readonly identity: Buffer;
}

/** A ConfigMap may hold 1 MiB, names included. */
export const largestConfigMap = 1024 * 1024;

const known = new Map<string, PodFiles>();

/** Reads (and for "deployer" compiles) the files once per run. */
export function podFiles(origin: ObjectOrigin, extras: readonly Extra[] = []): PodFiles {
  const key = `${origin} ${extras}`;
  const files = known.get(key) ?? gather(origin, extras);
  known.set(key, files);
  return files;
}

/** Twelve hex digits that change whenever the nodes must get a new generation. */
export function podGeneration(
  files: PodFiles,
  origin: ObjectOrigin,
  size: { readonly sockets: number; readonly pendingPairs: number },
): string {
  return generationOf(files, origin, size);
}

function gather(origin: ObjectOrigin, extras: readonly Extra[]): PodFiles {
  const script = fs.readFileSync(path.join(packageRoot(), "host", "pod", "pod.sh"));
  const texts = new Map([["pod.sh", script], ...readFolder(built(), (file) => file === "socket-bypass")]);
  const programs = readFolder(built(), (file) => /^(probe|pod)-(x86_64|aarch64)$/.test(file));
  if (programs.size !== 4)
    throw new pulumi.RunError(
      `socket-bypass: dist/host: expected probe and pod for both types of machine, found ${[...programs.keys()].join(", ")}; run \`npm run build\``,
    );
  const prebuilt = () => readFolder(built(), (file) => file.endsWith(".bpf.o"));
  const objects = onlyWith(extras, origin === "deployer" ? compileObjects() : prebuilt());
  const binaries = new Map([...objects, ...programs]);
  const size = [...texts, ...binaries].reduce((sum, [name, data]) => sum + name.length + data.length, 0);
  if (size > largestConfigMap)
    throw new pulumi.RunError(
      `socket-bypass: ConfigMap: expected at most ${largestConfigMap} bytes, found ${size}; leave something out of dist/host`,
    );
  // Not the objects where a compiler of another version could change them.
  const named = origin === "deployer" ? [...programs, ...onlyWith(extras, sources())] : [...binaries];
  return {
    texts: Object.fromEntries([...texts].map(([name, data]) => [name, data.toString()])),
    binaries: Object.fromEntries([...binaries].sort(byName).map(([name, data]) => [name, data.toString("base64")])),
    identity: digestOf(new Map([...texts, ...named])),
  };
}

function digestOf(files: Files): Buffer {
  const hash = createHash("sha256");
  for (const [name, data] of [...files].sort(byName)) hash.update(`${name} ${data.length}\n`).update(data);
  return hash.digest();
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}
