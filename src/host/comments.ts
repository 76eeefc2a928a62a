// SPDX-License-Identifier: Apache-2.0

/**
 * A source file as it is sent: a third of the packed sources would be comments. The licence stays, and so does every line's number, which the
 * compiler's complaints name.
 */
export function withoutComments(file: string, text: string): string {
  if (file.endsWith(".sh")) return text.replace(/^[ \t]*#(?!!| SPDX).*$/gm, "");
  return text.replace(/\/\*(?! SPDX)[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ""));
}
