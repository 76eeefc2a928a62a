// SPDX-License-Identifier: Apache-2.0

import { isPoolName } from "../args/node-pool";
import type { Where } from "../args/validation/check";
import { ArgsError, pathText } from "../args/validation/problem";

/**
 * Rejects names that Kubernetes refuses although Pulumi takes them; the API server would say so
 * only after everything else is done.
 */
export function checkPoolName(name: string, { resource, what, path }: Where): void {
  if (isPoolName(name)) return;
  const expected = "a name of at most 40 lower-case letters, digits and dashes";
  const fix = "rename it, for Kubernetes names the objects of the pool after it";
  const at = path.length === 0 ? "name" : pathText(path);
  throw new ArgsError(resource, what, [{ path: at, expected, found: JSON.stringify(name), fix }]);
}
