// SPDX-License-Identifier: Apache-2.0

/**
 * What a host says of itself, as one short line for a terminal: no character that moves a cursor,
 * hides text or turns its direction.
 */
export function printable(said: string): string {
  const line = said.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "?");
  return line.length > 300 ? `${line.slice(0, 300)}…` : line;
}
