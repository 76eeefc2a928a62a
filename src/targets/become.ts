// SPDX-License-Identifier: Apache-2.0
import { shellLine } from "../commands/quote";

/** A whole line behind one become. */
export function asRoot(become: string, line: string): string {
  return become ? shellLine([...asWords(become), "sh", "-c", line]) : line;
}

export function asWords(become: string): string[] {
  return become.split(" ").filter((word) => word !== "");
}
