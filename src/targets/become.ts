// SPDX-License-Identifier: Apache-2.0
import { shellLine } from "../commands/quote";

/** Runs a whole line behind a single become. */
export function asRoot(become: string, line: string): string {
  return become ? shellLine([...asWords(become), "sh", "-c", line]) : line;
}

export function asWords(become: string): string[] {
  return become.split(" ").filter((word) => word !== "");
}
