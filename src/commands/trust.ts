// SPDX-License-Identifier: Apache-2.0

/**
 * Text for a POSIX shell that succeeds if root owns a file and every folder above it, none of them
 * is a link and nobody else may write to them. Otherwise it prints the offender on stderr, unless
 * `isQuiet`. `word` is the file as a quoted word of the shell. A sticky folder is refused too: once
 * a cleaner has emptied /tmp, whoever comes first creates there what root would run. is_safe() in
 * the host script makes the same check, but it cannot vouch for the script that contains it.
 */
export function isRoots(word: string, isQuiet = false): string {
  const refused = isQuiet ? "exit 1" : `${refuse}; exit 1`;
  const walk = `while set -f -- $(ls -ldn "\${p:-/}"); do case $3$1 in 0[d-]????-??-*) ;; *) ${refused} ;; esac; [ -n "$p" ] || exit 0; p=\${p%/*}; done`;
  return `(p=${word}; ${walk})`;
}

const refuse = `echo "socket-bypass: \${p:-/}: expected root to own it and nobody else to write to it, found $*" >&2`;
