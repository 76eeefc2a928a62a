// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import * as path from "node:path";
import { packageRoot } from "../bundle/package-root";
import { quote } from "./quote";
import type { Installation } from "./verbs";

type Place = Pick<Installation, "stateDir" | "instance">;

/** The files that a host must have before the step that installs them. */
export interface Files extends Place {
  /** The digest of the archive. */
  readonly digest: string;
  /** The archive, compressed by gzip. */
  readonly packed: Buffer;
}

/**
 * A folder that root owns. It holds one folder, named by the digest; the step that installs from it
 * removes it.
 */
function folderOf({ stateDir, instance }: Place): string {
  return `${stateDir}/_staged-${instance}`;
}

/**
 * The words of a command that takes the files from stdin, and the script that must go to stdin
 * first. The command reads exactly as many bytes as the script has, one by one, because a shell
 * that reads a script from stdin reads ahead, into the files.
 */
export function receiving(files: Files): { readonly words: string[]; readonly script: Buffer } {
  const script = fs.readFileSync(path.join(packageRoot(), "host", "script", "receive.sh"));
  const line = `eval "$(dd bs=1 count=${script.length} 2>/dev/null)"`;
  return { words: ["sh", "-c", line, "receive.sh", files.stateDir, files.instance, files.digest], script };
}

/**
 * The text that `sh -s` reads in the step: it runs the host script among the sent files with the
 * words of the step. `note` does nothing but tell one text from another.
 */
export function running(on: Place, digest: string, note = ""): string {
  const script = quote(`${folderOf(on)}/${digest}/socket-bypass`);
  const gone =
    ": expected the files that were sent for this step, found none: something on the host has removed them; run up again";
  return [
    ...(note === "" ? [] : [`: ${quote(note)}`]),
    `s=${script}`,
    `[ -f "$s" ] || { echo "socket-bypass: $s${gone}" >&2; exit 1; }`,
    // The script is not run by exec: on an interrupt the provider kills the process that it knows,
    // while the script goes on to its end and removes what was sent. dash forks for `-c` anyway;
    // bash does not. A `timeout` in front of this line signals the whole group and waits for this
    // shell.
    "trap : INT TERM",
    'sh "$s" "$@"',
    "exit",
    "",
  ].join("\n");
}
