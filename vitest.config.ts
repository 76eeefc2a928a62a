// SPDX-License-Identifier: Apache-2.0
import { defineConfig } from "vitest/config";

const alone = ["setup", "probe"].map((part) => `test/${part}/**/*.test.ts`);
const script = ["test/host/**/*.test.ts"];
// See test/host/machine.ts.
const slowness = Number(process.env.SOCKET_BYPASS_TEST_SLOWNESS ?? 1);
const pure = ["args", "components", "schema", "src-host", "targets"].map((part) => `test/${part}/**/*.test.ts`);

export default defineConfig({
  test: {
    globalSetup: "test/sweep.ts",
    projects: [
      {
        test: {
          name: "package",
          include: pure,
          testTimeout: 30_000,
        },
      },
      {
        test: {
          // Processes and files of their own only.
          name: "tools",
          include: alone,
          testTimeout: 120_000,
          hookTimeout: 600_000,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      ...["host", "machine"].map((name, at) => ({
        test: {
          name,
          include: name === "host" ? script : ["test/**/*.test.ts"],
          exclude: name === "host" ? [] : [...pure, ...alone, ...script],
          testTimeout: 120_000 * slowness,
          hookTimeout: 600_000,
          // These share one bpffs folder and one host lock; setup/test.sh runs the two projects apart.
          maxWorkers: 1,
          sequence: { groupOrder: at + 2 },
        },
      })),
    ],
  },
});
