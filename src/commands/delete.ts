// SPDX-License-Identifier: Apache-2.0

import { quote, shellLine } from "./quote";
import { isRoots } from "./trust";
import { defaultStateDir, type Installation } from "./verbs";

/** What a delete line names: no generation, so that an upgrade does not change it. */
export type Installed = Omit<Installation, "generation">;

// The state holds each of these lines twice for each step of each host, quoted once more for `sh
// -c`: so they are written with few quotation marks, and with variables for what they repeat. An
// instance needs no quotes.

/**
 * The delete line of a step between the attachment and the first. Where the script is gone, or in a
 * folder of the user's that is not root's own, it does nothing: a removal begins and ends with a
 * `deleteLine`, which looks at all of that, and stops there with the state whole.
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
 * runs last. It decides by itself, because the state keeps it for years: script there, run it;
 * nothing there, done; script gone but pins or the boot unit there, say what to type and fail. What
 * others may have put there is not there.
 */
export function deleteLine(on: Installed, ...words: readonly string[]): string {
  return [
    asRootOnly,
    `d=${quote(on.stateDir)} n=${on.instance}`,
    "s=$d/$n/socket-bypass a=$d/_removed-$n u=socket-bypass-$n b= c=",
    `r() ${isRoots("$1")}`,
    `if [ -f "$s" ] && r "$s"; then ${runWords(on, words)}; fi`,
    // A removal that was killed at its last calls has left its own files.
    `if [ -d "$a" ] && r "$a"; then rm -rf "$a"; rmdir "$d" 2>/dev/null; fi`,
    // What this prints of it is typed as root. The bpffs itself may be sticky: nothing empties it.
    `o() ( set -f -- $(ls -ldn "$1" 2>/dev/null); case $3$1 in 0d????-??-*) ;; *) exit 1 ;; esac )`,
    `while read -r _ m t _; do p=$m/socket-bypass; case $t in cgroup2) c=$m ;; bpf) if o "$p" && o "$p/$n"; then b=$p/$n; fi ;; esac; done </proc/mounts`,
    "f=/etc/systemd/system/$u.service",
    'g="socket-bypass: $s: expected the script that removes it, found none"',
    `if [ -z "$b" ] && ! [ -e $f ]; then echo "$g, nor anything pinned; nothing to do" >&2; exit 0; fi`,
    "exec >&2",
    `echo "$g, but some of it is still in place; type as root:"`,
    `if [ -e $f ]; then echo systemctl disable --now $u; echo rm $f; fi`,
    `for p in "$b"/*/track; do if [ -e "$p" ]; then echo bpftool cgroup detach "$c$(readlink "$b"/cgroup)" sock_ops pinned "$p"; fi; done`,
    `if [ -n "$b" ]; then echo rm -r "$b"; fi`,
    "exit 1",
  ].join("; ");
}

// Anybody else could not look into these folders, and would take that for "gone".
const asRootOnly = `[ "$(id -u)" = 0 ] || { echo "socket-bypass: expected to run as root, found another user; set become" >&2; exit 1; }`;

function runWords(on: Installed, words: readonly string[]): string {
  const state = on.stateDir === defaultStateDir ? [] : ["--state-dir", on.stateDir];
  return `exec sh "$s" ${shellLine([...words, "--instance", on.instance, ...state, "--owner", on.owner])}`;
}
