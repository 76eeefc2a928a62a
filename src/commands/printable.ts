// SPDX-License-Identifier: Apache-2.0

/**
 * Turns what a host printed into one short line for a terminal, without characters that move the
 * cursor, hide text or reverse its direction.
 */
export function printable(said: string): string {
  return printableUpTo(300, said);
}

/** The same for a text that may have more characters. */
export function printableUpTo(most: number, said: string): string {
  const line = said.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "?");
  return line.length > most ? `${line.slice(0, most)}…` : line;
}
