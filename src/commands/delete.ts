// SPDX-License-Identifier: Apache-2.0

import { quote, shellLine } from "./quote";
import { isRoots } from "./trust";
import { defaultStateDir, type Installation } from "./verbs";

/**
 * What a delete line names. It names no generation, so that an upgrade does not change the line.
 */
export type Installed = Omit<Installation, "generation">;

// The state holds each of these lines twice for each step of each host, quoted once more for `sh
// -c`. So they are written with few quotation marks, and with variables for what they repeat. An
// instance needs no quotes.

/**
 * The delete line of every step but the attachment and the first. It does nothing where the script
 * is gone, or lies in a folder of the user's that is not root's own: a removal begins and ends with
 * a `deleteLine`, which checks all of that and, if something is wrong, stops there with the state
 * intact.
 */
export function deleteStepLine(on: Installed, ...words: readonly string[]): string {
  const isOurs = on.stateDir === defaultStateDir ? "" : ` && ${isRoots("$s", true)}`;
  return [`s=${quote(scriptOf(on))}`, `[ -f "$s" ]${isOurs} || exit 0`, runWords(on, words)].join("; ");
}

function scriptOf(on: Installed): string {
  return `${on.stateDir}/${on.instance}/socket-bypass`;
}

/**
 * The delete line of the attachment, which a removal runs first, and of the first step, which it
 * runs last. The state keeps this line for years, so the line decides by itself: it runs the script
 * if that is there; it succeeds if nothing is left; and it fails and says what to type if the
 * script is gone but pins or the boot unit are left. It treats a script that someone other than
 * root may have put there as missing.
 */
export function deleteLine(on: Installed, ...words: readonly string[]): string {
  return [
    asRootOnly,
    `d=${quote(on.stateDir)} n=${on.instance}`,
    "s=$d/$n/socket-bypass a=$d/_removed-$n",
    `r() ${isRoots("$1")}`,
    `if [ -f "$s" ] && r "$s"; then ${runWords(on, words)}; fi`,
    // A removal that was killed during its last calls leaves its own files in $a.
    `if [ -d "$a" ] && r "$a"; then rm -rf "$a"; rmdir "$d" 2>/dev/null; fi`,
    // What is left is not taken apart here: only the script drains before it detaches.
    `f=$(ls -d $(sed -n "s,^[^ ]* \\([^ ]*\\) bpf .*,\\1/socket-bypass/$n,p" /proc/mounts) /etc/systemd/system/socket-bypass-$n.service 2>/dev/null)`,
    "exec >&2",
    `echo "socket-bypass: $s: expected the script that removes it, found none, \${f:+but }\${f:-nor anything pinned; nothing to do}"`,
    `[ "$f" ] || exit 0`,
    `echo "copy dist/host of the package to this host, and type there as root: sh dist/host/socket-bypass remove --instance $n${on.stateDir === defaultStateDir ? "" : " --state-dir $d"}"`,
    "exit 1",
  ].join("; ");
}

// Another user could not read these folders, and the line would take that for "gone".
const asRootOnly = `[ "$(id -u)" = 0 ] || { echo "socket-bypass: expected to run as root, found another user; set become" >&2; exit 1; }`;

function runWords(on: Installed, words: readonly string[]): string {
  const state = on.stateDir === defaultStateDir ? [] : ["--state-dir", on.stateDir];
  return `exec sh "$s" ${shellLine([...words, "--instance", on.instance, ...state, "--owner", on.owner])}`;
}
