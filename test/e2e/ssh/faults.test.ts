// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, test, vi } from "vitest";
import { Far, isSkipped, makeKeys } from "./far.js";
import { Fleet } from "./fleet.js";
import { type Fault, Liar } from "./liar.js";

// Half of the usual limits; the package reads this when it is loaded.
vi.hoisted(() => vi.stubEnv("SOCKET_BYPASS_LOOK_PATIENCE", "0.5"));

const verbs = {
  object: "object install",
  "map-sockets": "map create",
  "program-track": "program load track",
  "program-redirect": "program load redirect",
  verdict: "verdict attach",
  selftest: "selftest --",
  policy: "policy set",
  attachment: " attach --cgroup",
};
const faults: Fault[] = [
  "drops before it runs",
  "drops while it runs",
  "runs it and drops without a status",
  "runs it and says 1",
];

// These do not prove what the official provider does with a server that stalls; its stand-in
// ignores a request to cancel.
describe.skipIf(isSkipped)("an SSH server that misbehaves", () => {
  let far: Far;
  let liar: Liar;
  let fleet: Fleet;

  beforeAll(async () => {
    far = await new Far({ keys: makeKeys() }).start();
    liar = await new Liar(far).start();
    fleet = new Fleet({
      hosts: { web: { connection: liar.connection() } },
      traffic: { everything: true },
      spliceGuard: "off",
      selfTest: { enabled: false },
    });
  });

  test("by refusing the login is dialled as often as declared, and the password is not shown", async () => {
    liar.isClosed = true;
    const { said } = await fleet.failure(fleet.up());
    expect(liar.dials).toBe(3);
    expect(liar.commands).toEqual([]);
    expect(said).toContain("the host refuses this user with this key, password or agent");
    expect(said + fleet.stateFile()).not.toContain("correct-horse");
    liar.isClosed = false;
  });

  test("while it receives the files makes up fail there in bounded time, and leaves nothing", async () => {
    const words: [Fault, string][] = [
      ["stalls", "the host gives no answer within 15 s"],
      ["runs nothing and says 0", "the host gives no answer within 15 s"],
      ["drops before it runs", "the host ends the connection"],
      ["drops while it runs", "the host ends the connection"],
      ["runs it and says 1", "the host ends the command with 1"],
    ];
    for (const [fault, text] of words) {
      liar.fault = { at: " receive.sh ", fault };
      const before = liar.dials;
      const { changes, said } = await fleet.failure(fleet.up());
      expect(changes).toEqual({ "web-object": "create" });
      expect(said).toContain(`before hook "files for edge-web" failed: ${text}`);
      expect({ fault, dials: liar.dials - before }).toEqual({ fault, dials: 1 });
      // The server that answers 1 has stored the files all the same.
      if (fault !== "runs it and says 1") await vi.waitFor(() => expect(far.traces()).toEqual([]), 30_000);
    }
    expect(liar.commands.filter((line) => line.includes("object install"))).toEqual([]);
  }, 240_000);

  test("by stalling before the first step does not outlast an interrupt", async () => {
    liar.fault = { at: " receive.sh ", fault: "stalls" };
    const before = liar.commands.length;
    const failed = fleet.failure(fleet.up());
    await vi.waitFor(() => expect(liar.commands.length).toBe(before + 1), { timeout: 60_000, interval: 100 });
    await fleet.interrupt();
    await failed;
  }, 120_000);

  test("at any step, by dropping the connection or by a wrong status, makes up fail there, and the next up continues from there", async () => {
    for (const [number, [step, verb]] of Object.entries(verbs).entries()) {
      liar.fault = { at: verb, fault: faults[number % faults.length] ?? "drops before it runs" };
      const { changes } = await fleet.failure(fleet.up());
      expect(Object.keys(changes).at(-1)).toBe(`web-${step}`);
    }
    liar.fault = { at: " true", fault: "stalls" };
    const { said } = await fleet.failure(fleet.up());
    expect(said).toContain('before hook "look at edge-web" failed: the host gives no answer within 15 s');
    expect(Object.keys((await fleet.up()).changes)).toEqual(["web-attachment"]);
    expect(far.status()).toMatchObject([{ healthy: true, problems: [] }]);
    expect((await fleet.preview()).changes).toEqual({});
  }, 150_000);

  test("by floods of output does not keep the step from succeeding", async () => {
    fleet.args = { ...fleet.args, traffic: { ports: ["1"] } };
    liar.fault = { at: "policy set", fault: "floods, then runs it" };
    expect((await fleet.up()).changes).toEqual({ "web-policy": "update" });
    expect(far.status()).toMatchObject([{ healthy: true, policy: { ports: "1" } }]);
  });

  test("by stalling before a later step is found by a look, so up fails within a bound and changes nothing", async () => {
    fleet.args = { ...fleet.args, traffic: { ports: ["3"] } };
    liar.fault = { at: " true", fault: "stalls" };
    const dials = liar.dials;
    const { changes, said } = await fleet.failure(fleet.up());
    expect(changes).toEqual({ "web-policy": "update" });
    expect(said).toContain('before hook "look at edge-web" failed: the host gives no answer within 15 s');
    expect(liar.dials - dials).toBe(1);
    expect(far.status()).toMatchObject([{ healthy: true, policy: { ports: "1" } }]);
  });

  test("by stalling in a step blocks up until it is interrupted, and the next up succeeds", async () => {
    fleet.args = { ...fleet.args, traffic: { ports: ["2"] } };
    liar.fault = { at: "policy set", fault: "stalls" };
    const before = liar.commands.length + 1;
    const failed = fleet.failure(fleet.up());
    const early = failed.then(({ said }) => expect.fail(`expected up to wait, found ${said}`));
    const reached = vi.waitFor(() => expect(liar.commands.length).toBe(before + 1), { timeout: 30_000, interval: 100 });
    await Promise.race([reached, early]);
    await fleet.interrupt();
    await failed;
    expect((await fleet.up()).changes).toEqual({ "web-policy": "update" });
    expect(far.status()).toMatchObject([{ healthy: true, policy: { ports: "2" } }]);
  }, 60_000);

  test("by dropping the connection makes destroy fail, and the next one leaves nothing", async () => {
    liar.fault = { at: "detach --instance", fault: "drops while it runs" };
    await fleet.failure(fleet.destroy());
    await fleet.destroy();
    expect(far.traces()).toEqual([]);
  }, 60_000);

  test("by running nothing and answering 0 is detected, and a replacement of that step installs", async () => {
    liar.fault = { at: "map create", fault: "runs nothing and says 0" };
    const failed = fleet.failure(fleet.up());
    const words = "expected the host to answer with the serial of this step";
    await vi.waitFor(() => expect(fleet.heard()).toContain(words), { timeout: 30_000, interval: 100 });
    // Under the CLI a program ends by itself then; under the Automation API it waits for resources
    // that will never exist.
    await fleet.interrupt();
    const { said, changes } = await failed;
    expect(Object.keys(changes)).toEqual(["web-object", "web-map-sockets"]);
    expect(said).toContain("pulumi up --replace URN-OF-THIS-STEP");
    const urn = fleet.urns().find((one) => one.endsWith("::edge-web-map-sockets")) ?? "";
    await fleet.up({ replace: [urn] });
    expect(far.status()).toMatchObject([{ healthy: true, problems: [] }]);
    expect((await fleet.preview()).changes).toEqual({});
    await fleet.destroy();
    expect(far.traces()).toEqual([]);
  }, 90_000);
});
