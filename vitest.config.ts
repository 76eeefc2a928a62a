// SPDX-License-Identifier: Apache-2.0
import { defineConfig } from "vitest/config";

const pure = ["args", "components", "schema", "src-host", "targets"].map((part) => `test/${part}/**/*.test.ts`);

export default defineConfig({
  test: {
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
          name: "machine",
          include: ["test/**/*.test.ts"],
          exclude: pure,
          testTimeout: 120_000,
          hookTimeout: 600_000,
          // These share one kernel, one bpffs folder and one host lock.
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
