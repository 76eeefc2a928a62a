// SPDX-License-Identifier: Apache-2.0

/** Escapes a text, so that it matches only itself as a regular expression. */
export function literal(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
