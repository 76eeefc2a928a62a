// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import { join } from "node:path";
import { secret } from "@pulumi/pulumi";
import { afterEach, describe, expect, test, vi } from "vitest";
import { isSkipped, Machine } from "./machine.js";
import { Project } from "./project.js";

describe.skipIf(isSkipped)("invalid arguments", () => {
  test("are reported all at once, before any step is registered", async () => {
    const machine = new Machine();
    machine.args = {
      hosts: { web: { local: true, stateDir: "var/lib" }, "web 2": {}, forgotten: { connection: undefined as never } },
      cgroup: "/system.slice/redis.service",
      traffic: { ports: ["6379", "70000"] },
      limits: { queueBytes: 1 },
    };
    for (const run of [machine.preview, machine.up]) {
      const error = await run()
        .then(() => undefined)
        .catch((failed) => failed);
      expect(error.said).toContain('in the arguments of SocketBypass "edge":');
      for (const path of [
        ...["hosts.web.stateDir", 'hosts["web 2"]', "hosts.forgotten.connection"],
        ...["cgroup", "traffic.ports[1]", "limits.queueBytes"],
      ]) {
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

describe.skipIf(isSkipped)("objects that cannot be compiled on this machine", () => {
  afterEach(() => vi.unstubAllEnvs());

  test("are told once, for all hosts, in our own words and without a stack", () => {
    const project = new Project();
    try {
      // clang finds this header before the one of libbpf.
      fs.mkdirSync(join(project.folder, "bpf"));
      fs.writeFileSync(join(project.folder, "bpf/bpf_helpers.h"), "#error no header\n");
      vi.stubEnv("CPATH", project.folder);
      const connection = { host: "192.0.2.1", password: "x" };
      const far = { connection, allowUnknownHostKey: true };
      const args = { hosts: { here: { local: true }, a: far, b: far }, traffic: { ports: [80] } };
      const { ok, said } = project.run("node", { edge: { ...args, bpf: { compile: "deployer" } } }, "preview");
      const [, told = ""] = said.split("Diagnostics:");
      expect({ ok, told: told.match(/^ {4}error: .*/gm) }).toEqual({
        ok: false,
        told: [
          "    error: socket-bypass: bpf.compile: expected clang and llvm-strip that compile bpf/ on this machine, found:",
        ],
      });
      expect(told).toContain("no header");
      expect(told).toContain('install clang and llvm, or use "prebuilt"');
      expect(told).not.toMatch(/^ +at /m);
    } finally {
      project.remove();
    }
  }, 240_000);
});
