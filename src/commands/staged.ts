// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import * as path from "node:path";
import { packageRoot } from "../bundle/package-root";
import { quote } from "./quote";
import type { Installation } from "./verbs";

type Place = Pick<Installation, "stateDir" | "instance">;

/** What a host is to have before the step that installs it. */
export interface Files extends Place {
  /** Of the archive. */
  readonly digest: string;
  /** The archive, packed by gzip. */
  readonly packed: Buffer;
}

/** Root's own, with one folder by its digest in it; the step that installs from it removes it. */
function folderOf({ stateDir, instance }: Place): string {
  return `${stateDir}/_staged-${instance}`;
}

/**
 * Words that take the files from stdin, and what goes there first: the script that does it, of
 * exactly as many bytes as are read one by one, because a shell that reads a script from stdin
 * reads ahead, into the files.
 */
export function receiving(files: Files): { readonly words: string[]; readonly script: Buffer } {
  const script = fs.readFileSync(path.join(packageRoot(), "host", "script", "receive.sh"));
  const line = `eval "$(dd bs=1 count=${script.length} 2>/dev/null)"`;
  return { words: ["sh", "-c", line, "receive.sh", files.stateDir, files.instance, files.digest], script };
}

/**
 * What `sh -s` reads in the step: it runs the host script among the files with the words of the
 * step.
 */
export function running(on: Place, digest: string): string {
  const script = quote(`${folderOf(on)}/${digest}/socket-bypass`);
  const gone =
    ": expected the files that were sent for this step, found none: something on the host has removed them; run up again";
  return [
    `s=${script}`,
    `[ -f "$s" ] || { echo "socket-bypass: $s${gone}" >&2; exit 1; }`,
    // Not by exec: an interrupt makes the provider kill the process that it knows, and the script
    // goes on to its end and removes what was sent. dash forks for `-c` anyway; bash does not. A
    // `timeout` in front of it tells all to stop, and waits for this shell.
    "trap : INT TERM",
    'sh "$s" "$@"',
    "exit",
    "",
  ].join("\n");
}
