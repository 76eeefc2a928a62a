// SPDX-License-Identifier: Apache-2.0

// No "=": an unquoted first word with one would be an assignment. No "~": the shell expands it.
const bare = /^[A-Za-z0-9_@%+:,./-]+$/;

/**
 * Writes a word so that a POSIX shell reads back exactly this word, and so do fish and csh unless
 * it holds a newline, for SSH hands the line to whatever shell the user logs in with: inside quotes
 * fish reads a backslash and csh an exclamation mark. Everything that reaches a shell goes through
 * here.
 */
export function quote(word: string): string {
  if (word.includes("\0")) {
    throw new Error("expected a word for the shell, found a NUL character in it; no argument can hold one");
  }
  return bare.test(word) ? word : `'${word.replace(/['\\!]/g, "'\\$&'")}'`;
}

/** Writes words as one line of a POSIX shell. */
export function shellLine(words: readonly string[]): string {
  return words.map(quote).join(" ");
}
