// SPDX-License-Identifier: Apache-2.0

/**
 * Turns what a host printed into one short line for a terminal, without characters that move the
 * cursor, hide text or reverse its direction.
 */
export function printable(said: string): string {
  const line = said.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "?");
  return line.length > 300 ? `${line.slice(0, 300)}…` : line;
}
