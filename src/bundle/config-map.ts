// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { built, type Extra, type Files, type ObjectOrigin, onlyWith, packNow, readFolder, sources } from "./bundle";
import { compileObjects } from "./compile";
import { packageRoot } from "./package-root";

/** What the ConfigMap of a pool holds for its pods, whose nodes may be of either machine type. */
export interface PodFiles {
  readonly texts: Readonly<Record<string, string>>;
  /** Files compressed by gzip, in base64. */
  readonly binaries: Readonly<Record<string, string>>;
  readonly identity: Buffer;
}

/**
 * A ConfigMap may hold 1 MiB, but `kubectl apply` writes the whole object, with its name and
 * labels, into an annotation of that object, and annotations may hold 256 KiB.
 */
export const largestConfigMap = 261_000;

const known = new Map<string, PodFiles>();

/** Reads (and for "deployer" compiles) the files once per run. */
export function podFiles(origin: ObjectOrigin, extras: readonly Extra[] = []): PodFiles {
  const key = `${origin} ${extras}`;
  const files = known.get(key) ?? gather(origin, extras);
  known.set(key, files);
  return files;
}

function gather(origin: ObjectOrigin, extras: readonly Extra[]): PodFiles {
  const read = (name: string) => fs.readFileSync(path.join(packageRoot(), "host", name));
  const texts = new Map([
    ["mounts.sh", read("script/lib/mounts.sh")],
    ["pod.sh", read("pod/pod.sh")],
  ]);
  const isTool = (file: string) => /^(socket-bypass|probe-(x86_64|aarch64))$/.test(file);
  const tools = readFolder(path.join(built(), "for-pods"), isTool);
  if (tools.size !== 3)
    throw new pulumi.RunError(
      `socket-bypass: dist/host: expected the script, and the probe for both types of machine, found ${[...tools.keys()].join(", ")}; run \`npm run build\``,
    );
  const prebuilt = () => readFolder(built(), (file) => file.endsWith(".bpf.o"));
  const all = onlyWith(extras, origin === "deployer" ? compileObjects() : prebuilt());
  // Few nodes need two of the guards, so the room stays free for what comes later: the splice guard
  // by system calls is the last of three, for kernels without any LSM; and without the guard of
  // recv(MSG_WAITALL) a short read loses no data.
  const objects = new Map(all.filter(([name]) => !/^splice_(x86|arm64|waitall)\./.test(name)));
  const contents = {
    texts: Object.fromEntries([...texts].map(([name, text]) => [name, text.toString()])),
    binaries: Object.fromEntries(
      [...tools, ...objects]
        .sort(byName)
        .map(([name, data]) => [`${name}.gz`, (packedBefore(name, origin) ?? packNow(data)).toString("base64")]),
    ),
  };
  const size = JSON.stringify(contents).length;
  if (size > largestConfigMap)
    throw new pulumi.RunError(
      `socket-bypass: ConfigMap: expected at most ${largestConfigMap} bytes, found ${size}; leave something out of dist/host`,
    );
  // The identity leaves out compiled objects, because another version of the compiler could change
  // them.
  const named = origin === "deployer" ? onlyWith(extras, sources()) : [...objects];
  return { ...contents, identity: digestOf(new Map([...texts, ...tools, ...named])) };
}

/**
 * Finds a file that host/build/pack.mjs compressed when the package was built, so that the bytes
 * are the same wherever Pulumi runs. Objects that were compiled in this run are not among those
 * files.
 */
function packedBefore(name: string, origin: ObjectOrigin): Buffer | undefined {
  if (origin === "deployer" && name.endsWith(".bpf.o")) return undefined;
  const file = path.join(built(), "pod", `${name}.gz`);
  return fs.existsSync(file) ? fs.readFileSync(file) : undefined;
}

function digestOf(files: Files): Buffer {
  const hash = createHash("sha256");
  for (const [name, data] of [...files].sort(byName)) hash.update(`${name} ${data.length}\n`).update(data);
  return hash.digest();
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}
