// SPDX-License-Identifier: Apache-2.0
import { quote } from "./quote";

/**
 * Text of a POSIX shell that succeeds where a file, and every folder above it, is root's own, no link and not writable by others. Else it says on stderr what is
 * not. A sticky folder is refused too: when a cleaner has emptied /tmp, whoever comes first makes there what root would run. As is_safe() in the host
 * script, which cannot say it of itself.
 */
export function isRoots(path: string): string {
  const walk = `while set -f -- $(ls -ldn "\${p:-/}"); do case $3$1 in 0[d-]????-??-*) ;; *) ${refuse}; exit 1 ;; esac; [ -n "$p" ] || exit 0; p=\${p%/*}; done`;
  return `(p=${quote(path)}; ${walk})`;
}

const refuse = `echo "socket-bypass: \${p:-/}: expected root to own it and nobody else to write to it, found $*" >&2`;
