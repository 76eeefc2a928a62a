// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { Example } from "../../support/example.js";
import { isSkipped, makeKeys } from "./far.js";

interface Step {
  readonly op: string;
  readonly urn: string;
  readonly newState: {
    readonly type: string;
    readonly dependencies?: string[];
    readonly inputs?: { readonly create?: string };
  };
}

// This does not prove that its program installs; test/e2e/ssh/ways-in.test.ts does that with the
// same arguments.
describe.skipIf(isSkipped)("examples/ssh-fleet", () => {
  test("plans the machines of its configuration, the canary first, and contacts none of them", () => {
    const example = new Example("ssh-fleet", { SOCKET_BYPASS_STAND_IN_ALLOW_REMOTE: "yes" });
    const { privateKey, publicKey } = makeKeys();
    const machines = Object.fromEntries(
      ["web2", "web1"].map((name, at) => [name, { address: `198.19.0.${at + 1}`, hostKey: publicKey }]),
    );
    example.set("machines", JSON.stringify(machines));
    example.set("user", "ops");
    example.setSecret("privateKey", privateKey);
    const steps = example.plan<Step>();
    const commands = steps.filter(({ newState }) => newState.type === "command:remote:Command");
    expect(commands.map(({ op }) => op)).toEqual(Array(16).fill("create"));
    for (const { newState } of commands) expect(newState.inputs?.create).toMatch(/^sudo -n timeout /);
    const waits = (name: string) =>
      commands
        .find(({ urn }) => urn.endsWith(`::${name}`))
        ?.newState.dependencies?.map((urn) => urn.split("::").at(-1));
    expect(waits("edge-web1-object") ?? []).toEqual([]);
    expect(waits("edge-web2-object")).toEqual(["edge-web1-attachment"]);
    example.expectClean();
  }, 120_000);
});
