// SPDX-License-Identifier: Apache-2.0
import { secret } from "@pulumi/pulumi";
import { describe, expect, test } from "vitest";
import { isSkipped, Machine } from "./machine.js";

describe.skipIf(isSkipped)("what Pulumi keeps", () => {
  test("is no argument of a component, nothing of the files that a host is sent, and little else", async () => {
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

  test("of a secret argument is no plain text", async () => {
    const machine = new Machine();
    machine.args = { ...machine.args, traffic: { cidrs: secret(["127.32.0.0/11"]) } };
    await machine.up();
    expect(machine.status().policy).toMatchObject({ cidrs: "127.32.0.0/11" });
    const kept = machine.stateFile();
    expect(kept).toContain("edge-web-policy");
    expect(kept).not.toContain("127.32.0.0");
  });
});
