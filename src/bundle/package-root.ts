// SPDX-License-Identifier: Apache-2.0
import * as path from "node:path";

/** The folder of this package: the parent of both bin/ and src/. */
export function packageRoot(): string {
  return path.join(__dirname, "..", "..");
}
