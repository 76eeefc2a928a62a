// SPDX-License-Identifier: Apache-2.0

import { quote, shellLine } from "./quote";
import { isRoots } from "./trust";
import { defaultStateDir, type Installation } from "./verbs";

/** What a delete line names: no generation, so that an upgrade does not change it. */
export type Installed = Omit<Installation, "generation">;

/**
 * A delete line. It decides by itself, because the state keeps it for years: script there, run it; nothing there, done;
 * script gone but pins or the boot unit there, say what to type and fail. What others may have put there is not there.
 */
export function deleteLine(on: Installed, ...words: readonly string[]): string {
  const script = `${on.stateDir}/${on.instance}/socket-bypass`;
  const state = on.stateDir === defaultStateDir ? [] : ["--state-dir", on.stateDir];
  const run = shellLine(["sh", script, ...words, "--instance", on.instance, ...state, "--owner", on.owner]);
  const gone = quote(`socket-bypass: ${script}: expected the script that removes it, found none`);
  const aside = `${on.stateDir}/_removed-${on.instance}`;
  const unit = quote(`/etc/systemd/system/socket-bypass-${on.instance}.service`);
  return [
    // Anybody else could not look into these folders, and would take that for "gone".
    `if [ "$(id -u)" -ne 0 ]; then echo ${quote("socket-bypass: expected to run as root, found another user; set become")} >&2; exit 1; fi`,
    `if [ -f ${quote(script)} ] && ${isRoots(script)}; then exec ${run}; fi`,
    // A removal that was killed at its last calls has left its own files.
    `if [ -d ${quote(aside)} ] && ${isRoots(aside)}; then rm -rf ${quote(aside)}; rmdir ${quote(on.stateDir)} 2>/dev/null; fi`,
    "b=; c=",
    // What this prints of it is typed as root. The bpffs itself may be sticky: nothing empties it.
    `own() ( set -f -- $(ls -ldn "$1" 2>/dev/null); case $3$1 in 0d????-??-*) ;; *) exit 1 ;; esac )`,
    `while read -r _ m t _; do case $t in cgroup2) c=$m ;; bpf) if own "$m"/socket-bypass && own "$m"/socket-bypass/${quote(on.instance)}; then b=$m/socket-bypass/${quote(on.instance)}; fi ;; esac; done </proc/mounts`,
    `if [ -z "$b" ] && [ ! -e ${unit} ]; then echo ${gone}${quote(", nor anything pinned; nothing to do")} >&2; exit 0; fi`,
    `echo ${gone}${quote(", but some of it is still in place; type as root:")} >&2`,
    `if [ -e ${unit} ]; then echo systemctl disable --now ${quote(`socket-bypass-${on.instance}`)} >&2; echo rm ${unit} >&2; fi`,
    `for p in "$b"/*/track; do if [ -e "$p" ]; then echo bpftool cgroup detach "$c$(readlink "$b"/cgroup)" sock_ops pinned "$p" >&2; fi; done`,
    `if [ -n "$b" ]; then echo rm -r "$b" >&2; fi`,
    "exit 1",
  ].join("; ");
}
