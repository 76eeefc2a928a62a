// SPDX-License-Identifier: Apache-2.0

/**
 * Text of a POSIX shell that succeeds where a file, and every folder above it, is root's own, no
 * link and not writable by others. Else it says on stderr what is not, or nothing where it
 * `isQuiet`. The file is a word of the shell, quoted. A sticky folder is refused too: when a
 * cleaner has emptied /tmp, whoever comes first makes there what root would run. As is_safe() in
 * the host script, which cannot say it of itself.
 */
export function isRoots(word: string, isQuiet = false): string {
  const refused = isQuiet ? "exit 1" : `${refuse}; exit 1`;
  const walk = `while set -f -- $(ls -ldn "\${p:-/}"); do case $3$1 in 0[d-]????-??-*) ;; *) ${refused} ;; esac; [ -n "$p" ] || exit 0; p=\${p%/*}; done`;
  return `(p=${word}; ${walk})`;
}

const refuse = `echo "socket-bypass: \${p:-/}: expected root to own it and nobody else to write to it, found $*" >&2`;
