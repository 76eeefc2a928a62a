// SPDX-License-Identifier: Apache-2.0
import type { Host } from "../args/host";
import type { Where } from "../args/validation/check";
import { ArgsError, pathText } from "../args/validation/problem";
import { isMocked } from "../targets/mocked";

const names: Readonly<Record<string, string>> = { darwin: "macOS", win32: "Windows" };

/**
 * Refuses a local host where there is no Linux, and so no BPF. The unit tests of a user run
 * anywhere, because mocks install nothing. `hosts` are by their path in the arguments.
 */
export function checkThisMachine(
  hosts: readonly (readonly [path: readonly string[], host: Host])[],
  where: Where,
): void {
  const { platform } = process;
  const local = hosts.find(([, host]) => host.local === true);
  if (local === undefined || platform === "linux" || isMocked()) return;
  const path = pathText([...where.path, ...local[0], "local"]);
  const expected = "Linux on the machine that runs Pulumi";
  const fix = "run Pulumi on the Linux machine itself, or reach it from here by SSH: give connection instead of local";
  throw new ArgsError(where.resource, where.what, [{ path, expected, found: names[platform] ?? platform, fix }]);
}
