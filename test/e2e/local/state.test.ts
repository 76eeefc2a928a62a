// SPDX-License-Identifier: Apache-2.0
import { renameSync } from "node:fs";
import { runtime, secret } from "@pulumi/pulumi";
import { describe, expect, test, vi } from "vitest";
import { attachments, each, isSkipped, Machine } from "./machine.js";

describe.skipIf(isSkipped)("what Pulumi keeps", () => {
  test("contains no arguments of a component, none of the files that a host is sent, and little else", async () => {
    const machine = new Machine();
    await machine.up();
    const resources = await machine.exported();
    const components = resources.filter(({ type }) => type.startsWith("socket-bypass:"));
    expect(components.map(({ type, inputs }) => [type, inputs ?? {}])).toEqual([
      ["socket-bypass:index:SocketBypass", {}],
      ["socket-bypass:index:BypassHost", {}],
    ]);
    const commands = resources.filter(({ type }) => type === "command:local:Command");
    expect(commands.length).toBe(8);
    for (const { urn, inputs, outputs } of commands) {
      const { stdin, ...others } = { ...inputs } as Record<string, unknown>;
      const size = `${stdin}`.length;
      expect({ urn, size: size < 1024 }).toEqual({ urn, size: true });
      expect({ urn, inputs: JSON.stringify(others).length < 4096 }).toEqual({ urn, inputs: true });
      const said = `${outputs?.stdout}${outputs?.stderr}`;
      expect({ urn, isShort: said.length < 2048 }).toEqual({ urn, isShort: true });
      expect(others).not.toHaveProperty("environment");
    }
  });

  test("contains no secret argument in plain text", async () => {
    const machine = new Machine();
    machine.args = { ...machine.args, traffic: { cidrs: secret(["127.32.0.0/11"]) } };
    await machine.up();
    expect(machine.status().policy).toMatchObject({ cidrs: "127.32.0.0/11" });
    const kept = machine.stateFile();
    expect(kept).toContain("edge-web-policy");
    expect(kept).not.toContain("127.32.0.0");
  });
});

describe.skipIf(isSkipped)("a state", () => {
  test("that cannot be read fails the run and replaces nothing, because it says what each step keeps", async () => {
    const machine = new Machine();
    await machine.up();
    const { invoke } = runtime;
    const read = vi.fn().mockRejectedValue(new Error("backend: 503"));
    Object.defineProperty(runtime, "invoke", { configurable: true, value: read });
    try {
      const said = await machine.failure(machine.preview());
      expect(said).toContain("socket-bypass: reading the state of this stack failed: backend: 503; run it again");
      expect(read).toHaveBeenCalledTimes(6);
    } finally {
      Object.defineProperty(runtime, "invoke", { configurable: true, value: invoke });
    }
    expect((await machine.preview()).changes).toEqual({});
  });

  test("is intact after a removal that finds its script gone, and the next up and destroy are clean", async () => {
    const machine = new Machine();
    await machine.up();
    const aside = `${machine.stateDir}-aside`;
    renameSync(machine.stateDir, aside);
    try {
      const said = await machine.failure(machine.destroy());
      expect(said).toContain("copy dist/host of the package to this host, and type there as root:");
      expect((await machine.exported()).filter(({ type }) => type === "command:local:Command")).toHaveLength(8);
      expect(attachments(machine.cgroupFolder())).toHaveLength(1);
    } finally {
      renameSync(aside, machine.stateDir);
    }
    expect((await machine.up()).changes).toEqual({});
    expect((await machine.destroy()).changes).toEqual(each("delete"));
    expect(machine.traces()).toEqual([]);
  });
});
