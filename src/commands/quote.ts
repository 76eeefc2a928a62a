// SPDX-License-Identifier: Apache-2.0

// "=" is missing because an unquoted first word with one would be an assignment, "~" because the
// shell expands it.
const bare = /^[A-Za-z0-9_@%+:,./-]+$/;

/**
 * Quotes a word so that a POSIX shell reads back exactly this word. fish and csh do so too unless
 * it holds a newline; they matter because SSH hands the line to the user's login shell. Inside
 * quotes fish interprets a backslash and csh an exclamation mark. Every word that reaches a shell
 * goes through this function.
 */
export function quote(word: string): string {
  if (word.includes("\0")) {
    throw new Error(
      "expected a word for the shell, found a NUL character in it; remove it, because no argument can hold one",
    );
  }
  return bare.test(word) ? word : `'${word.replace(/['\\!]/g, "'\\$&'")}'`;
}

/** Writes words as one line of a POSIX shell. */
export function shellLine(words: readonly string[]): string {
  return words.map(quote).join(" ");
}
