// SPDX-License-Identifier: Apache-2.0
import { secret } from "@pulumi/pulumi";
import { describe, expect, test } from "vitest";
import { isSkipped, Machine } from "./machine.js";

describe.skipIf(isSkipped)("invalid arguments", () => {
  test("are reported all at once, before any step is registered", async () => {
    const machine = new Machine();
    machine.args = {
      hosts: { web: { local: true, stateDir: "var/lib" }, "web 2": {} },
      cgroup: "/system.slice/redis.service",
      traffic: { ports: ["6379", "70000"] },
      limits: { queueBytes: 1 },
    };
    for (const run of [machine.preview, machine.up]) {
      const error = await run()
        .then(() => undefined)
        .catch((failed) => failed);
      expect(error.said).toContain('in the arguments of SocketBypass "edge":');
      for (const path of [`hosts.web.stateDir`, `hosts["web 2"]`, "cgroup", "traffic.ports[1]", "limits.queueBytes"]) {
        expect(error.said).toContain(`${path}: expected `);
      }
      expect(error.changes).toEqual({});
    }
    expect(machine.traces()).toEqual([]);
  });

  test("end the run of a program under the Automation API, also if they are found late", async () => {
    const machine = new Machine();
    machine.args = { ...machine.args, cgroup: secret("nowhere") };
    const said = await machine.failure(machine.preview());
    expect(said).toContain("cgroup: expected ");
    expect(said).not.toContain("nowhere");
    expect(machine.traces()).toEqual([]);
  });
});
