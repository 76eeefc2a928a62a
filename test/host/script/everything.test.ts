// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Host, isSkipped, shells } from "../../support/host.js";

/*
 * A policy of all traffic on a kernel without a way for the splice guard, which these tests
 * simulate on any kernel. Not proven here: that a kernel with a way accepts it, which
 * test/bpf/splice.test.ts proves.
 */
beforeEach(() => {
  Host.spliceWays = "no-way";
});
afterEach(() => {
  Host.spliceWays = "";
});

const refusal = {
  code: 3,
  stdout: "",
  stderr: expect.stringMatching(
    /^socket-bypass: traffic\.everything: expected a kernel with a method to protect programs that splice, found none \(no-way: .*\); list ports \(traffic\.ports\) and leave out those of such programs, or say spliceGuard: "off" \(--splice-guard off\), .*\n$/,
  ),
};

describe.skipIf(isSkipped).each(shells)("everything, under %s", (shell) => {
  test.each(["preflight", "apply"])("is refused by %s before anything is changed, with one line", async (verb) => {
    const host = made(shell);
    expect(await host.verb(verb, "--everything")).toMatchObject(refusal);
    expect(host.traces()).toEqual([]);
  });

  test("is refused on a host that serves some ports, and those go on being served", async () => {
    const host = made(shell);
    await host.verb("apply", "--ports", "1", "--off");
    const before = await host.status();
    expect(await host.verb("policy set", "--everything")).toMatchObject(refusal);
    expect(await host.status()).toMatchObject({
      healthy: true,
      policy: before.policy,
      generations: before.generations,
    });
    expect(await host.verb("policy set", "--ports", "1")).toMatchObject({ code: 0 });
    expect((await host.status()).policy).toEqual(before.policy);
  });

  test("is refused by an attach that newly wants protection, and at a boot if it was declared with protection", async () => {
    const host = made(shell);
    expect(await host.apply("--splice-guard", "off")).toMatchObject({ code: 0, stderr: "" });
    expect(await host.verb("attach")).toMatchObject(refusal);
    expect(await host.status()).toMatchObject({ healthy: true, spliceGuard: { declared: "off" } });
    // This is the case of a machine that boots from a kernel with a way into one without.
    fs.writeFileSync(join(host.home, "splice-guard"), "auto\n");
    const { code, stderr } = await host.raw("boot", "start", ...host.common.slice(0, 4));
    expect({ code, stderr }).toMatchObject({ code: 3, stderr: refusal.stderr });
    expect((await host.status()).serving).toBe(host.generation);
  });

  test("is accepted with protection off, and otherwise as long as nothing is bypassed", async () => {
    const host = made(shell);
    expect(await host.apply("--splice-guard", "off")).toMatchObject({ code: 0, stderr: "" });
    expect(await host.verb("preflight", "--everything", "--splice-guard", "off")).toMatchObject({
      code: 0,
      stderr: "",
    });
    expect(await host.apply("--enabled", "false")).toMatchObject({ code: 0 });
    expect(await host.status()).toMatchObject({ healthy: true, policy: { everything: true, enabled: false } });
    expect(await host.verb("policy set", "--everything", "--enabled", "true")).toMatchObject(refusal);
    expect(await host.status()).toMatchObject({ healthy: true, policy: { everything: true, enabled: false } });
  });
});

function made(shell: (typeof shells)[number]): Host {
  const host = new Host(shell);
  host.spliceGuard = "auto";
  return host;
}
