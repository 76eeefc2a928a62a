// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { attachments, Host } from "../support/host.js";
import { call, isThere, slowness } from "../support/machine.js";
import { Datapath, expectCounters, isSkipped } from "./datapath.js";

declare module "vitest" {
  interface TaskMeta {
    /** What the self-test measured, for docs/reference/kernels.md. */
    facts?: Record<string, string | number>;
  }
}

describe.skipIf(isSkipped)("one installation", () => {
  test("from preflight to removal, with self-test, status and a drain under load, works and leaves nothing behind", async ({
    task,
  }) => {
    const host = new Host("dash");
    host.spliceGuard = "auto";
    const preflight = await host.verb("preflight");
    expect(preflight).toMatchObject({ code: 0 });
    expect(preflight.stdout).toContain(`ok kernel=${call("uname", "-r").trim()} `);

    const path = await Datapath.over(host, "--ports", "1-65535", "--off");
    const proof = JSON.parse(await path.ok("selftest", "--timeout", `${30 * slowness}`));
    expect(proof).toMatchObject({ selftest: "passed", facts: { msg_peek: "works" } });
    task.meta.facts = proof.facts;

    const { healthy, problems, attached } = await host.status();
    expect({ healthy, problems }).toEqual({ healthy: true, problems: [] });
    expect(attached).toMatchObject([{ generation: host.generation, flags: "multi", cgroup: host.cgroup }]);

    const load = path.start("stream.request_reply", 4, 3);
    await load.ready();
    load.go();
    await new Promise((wake) => setTimeout(wake, 500 * slowness));
    expect(path.sockets()).toBe(8);
    await path.drain();
    expect(path.sockets()).toBe(0);
    await load.result();
    await expectCounters(path, { pairs: 4, redirect_failed: 0 });

    expect(await path.ok("remove")).toBe("done\n");
    expect([host.pins, host.home, host.stateDir].filter(isThere)).toEqual([]);
    expect(attachments(host.cgroupFolder)).toEqual([]);
  });
});
