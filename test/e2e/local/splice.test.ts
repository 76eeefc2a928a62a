// SPDX-License-Identifier: Apache-2.0
import * as fs from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, test } from "vitest";
import { attachments, isSkipped, Machine } from "./machine.js";

const listener = `
import os, socket, sys
one = socket.create_server(("127.0.0.1", 0))
print(one.getsockname()[1], os.getpid(), flush=True)
sys.stdin.read()
`;

// Not proven here: that the program splices; test/e2e/apps has real ones.
describe.skipIf(isSkipped)("a machine whose kernel has no method to protect programs that splice", () => {
  test("warns about those that listen on the ports, in the policy's step only", async () => {
    const machine = new Machine();
    machine.spliceWays = "no-way";
    const file = join(machine.folder, "docker-proxy");
    fs.writeFileSync(file, `#!/usr/bin/python3\n${listener}`, { mode: 0o755 });
    const child = machine.start(file);
    const { value = "" } = await createInterface({ input: child.stdout ?? process.stdin })
      [Symbol.asyncIterator]()
      .next();
    const [port, pid] = value.split(" ");
    machine.args = { ...machine.args, spliceGuard: "auto", traffic: { ports: ["1"] } };
    expect((await machine.up()).said).not.toContain("docker-proxy");
    machine.args = { ...machine.args, traffic: { ports: ["1", `${port}`] } };
    const { changes, said } = await machine.up();
    expect(changes).toEqual({ policy: "update" });
    expect(said).toContain(
      `note: docker-proxy (process ${pid}, port ${port}): expected no program that splices where the kernel has no method for spliceGuard, found one that splices; leave out port ${port}`,
    );
    await machine.destroy();
  });

  test("refuses to bypass everything and says what to do, keeps what served before, and takes everything without protection", async () => {
    const machine = new Machine();
    machine.spliceWays = "no-way";
    const refusal = "traffic.everything: expected a kernel with a method to protect programs that splice, found none";
    machine.args = { ...machine.args, spliceGuard: "auto" };
    expect(await machine.failure(machine.up())).toContain(refusal);
    expect(attachments(machine.cgroupFolder())).toEqual([]);
    machine.args = { ...machine.args, traffic: { ports: ["1"] } };
    await machine.up();
    const everything = { everything: true };
    machine.args = { ...machine.args, traffic: everything };
    expect(await machine.failure(machine.up())).toContain(refusal);
    expect(machine.status()).toMatchObject({ healthy: true, policy: { everything: false, ports: "1" } });
    machine.args = { ...machine.args, spliceGuard: "off" };
    await machine.up();
    expect(machine.status()).toMatchObject({ healthy: true, policy: everything });
    // Turning protection on again is refused, and what serves stays unchanged.
    machine.args = { ...machine.args, spliceGuard: "auto" };
    expect(await machine.failure(machine.up())).toContain(refusal);
    expect(attachments(machine.cgroupFolder())).toEqual(["track_sockets"]);
    await machine.destroy();
    expect(machine.traces()).toEqual([]);
  });
});
