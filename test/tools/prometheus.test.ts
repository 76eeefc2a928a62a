// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Prometheus } from "../../tools/monitoring/prometheus";

// The programs on PATH are lines of a shell here; test/monitoring runs the real ones.
let folder = "";
beforeEach(() => {
  folder = fs.mkdtempSync(join(tmpdir(), "socket-bypass-test-"));
  fs.mkdirSync(join(folder, "tmp"));
  vi.stubEnv("TMPDIR", join(folder, "tmp"));
  vi.stubEnv("PATH", folder);
});
afterEach(() => {
  vi.unstubAllEnvs();
  fs.rmSync(folder, { recursive: true });
});
const provide = (name: string, line: string) =>
  fs.writeFileSync(join(folder, name), `#!/bin/sh\n${line}\n`, { mode: 0o755 });

test.each([
  ["exit 3", "expected it to be ready, found that it ended with 3"],
  ["kill -9 $$", "expected it to be ready, found that it ended with SIGKILL"],
  [undefined, "expected it to be ready, found that it did not start: spawn prometheus ENOENT"],
])("a Prometheus that does %s fails the start, which leaves nothing", async (line, message) => {
  provide("promtool", ":");
  if (line !== undefined) provide("prometheus", line);
  await expect(Prometheus.start({ command: "", kernel: "", scrapes: 1, hosts: {} })).rejects.toThrow(
    `prometheus: ${message}`,
  );
  expect(fs.readdirSync(join(folder, "tmp"))).toEqual([]);
});
