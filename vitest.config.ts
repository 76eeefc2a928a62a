// SPDX-License-Identifier: Apache-2.0
import { defineConfig } from "vitest/config";

const testsOf = (parts: readonly string[]) => parts.map((part) => `test/${part}/**/*.test.ts`);
const pure = testsOf(["src"]);
const alone = testsOf(["tools", "docs", "package", "examples", "host/helper"]);
const [datapath, host, kubernetes, vm] = [
  testsOf(["bpf"]),
  testsOf(["host/script"]),
  testsOf(["e2e/kubernetes"]),
  testsOf(["e2e/vm"]),
];
/** Projects that use the kernel of this machine; the last one has whatever no other project has. */
const onMachine = [
  { name: "datapath", include: datapath, exclude: [] },
  { name: "host", include: host, exclude: [] },
  {
    name: "uses",
    include: ["test/**/*.test.ts"],
    exclude: [...pure, ...alone, ...datapath, ...host, ...kubernetes, ...vm],
  },
];
// See test/support/machine.ts.
const slowness = Number(process.env.SOCKET_BYPASS_TEST_SLOWNESS ?? 1);

export default defineConfig({
  test: {
    globalSetup: "test/support/sweep.ts",
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
          // These tests use only processes and files of their own.
          name: "tools",
          include: alone,
          testTimeout: 120_000,
          hookTimeout: 600_000,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          // The nodes have a bpffs of their own.
          name: "kubernetes",
          include: kubernetes,
          testTimeout: 300_000,
          // A hook may have to build everything first.
          hookTimeout: 3_600_000,
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
        },
      },
      // Only test/e2e/vm/run.ts runs this project, because it starts the machines.
      { test: { name: "vm", include: vm, maxWorkers: 1 } },
      ...onMachine.map((part, at) => ({
        test: {
          ...part,
          testTimeout: 120_000 * slowness,
          hookTimeout: 600_000,
          // These share one bpffs folder and one host lock; `npm test` runs one project under
          // tools/setup/isolate.sh.
          maxWorkers: 1,
          sequence: { groupOrder: at + 3 },
        },
      })),
    ],
  },
});
