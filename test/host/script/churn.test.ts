// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { Host, isSkipped, removeTool, shells, writeTool } from "../../support/host.js";

/** Answers as bpftool does while cgroups come and go: it gives up. */
const troubled = `case "$*" in
*"cgroup tree"*) echo '{"error":"can'"'"'t iterate over /sys/fs/cgroup: No such file or directory"}' && exit 255 ;;
*) exec /usr/sbin/bpftool "$@" ;;
esac`;

// Not proven here: that the walk over cgroups that come and go is complete, which
// test/host/helper/hooks.test.ts proves.
describe.skipIf(isSkipped).each(shells)("under %s", (shell) => {
  test("every verb works even if bpftool cannot list cgroups that come and go", async () => {
    const host = new Host(shell);
    writeTool(host, "bpftool", troubled);
    expect(await host.verb("preflight")).toMatchObject({ code: 0 });
    const flags = ["--drain-seconds", "0"];
    expect(await host.apply(...flags)).toMatchObject({ code: 0, stderr: "" });
    expect(await host.status()).toMatchObject({
      ...{ healthy: true, problems: [] },
      attached: [{ generation: host.generation, flags: "multi", cgroup: host.cgroup }],
      generations: [{ generation: host.generation, sockets: 0 }],
    });
    expect(await host.apply("--generation", host.nextGeneration, ...flags)).toMatchObject({ code: 0, stderr: "" });
    expect((await host.raw("metrics", ...host.common.slice(0, 4))).stdout).toContain("enrolled_sockets");
    for (const verb of ["flows", "drain", "resume", "remove"]) {
      const answer = await host.raw(verb, ...host.common.slice(0, 4), ...flags);
      expect({ verb, ...answer }).toMatchObject({ verb, code: 0, stderr: "" });
    }
    removeTool(host, "bpftool");
  });

  test("reports answer while upgrades remove what they look at, and the upgrades go on", async () => {
    const host = new Host(shell);
    expect(await host.apply()).toMatchObject({ code: 0, stderr: "" });
    let isOver = false;
    const upgrade = async () => {
      try {
        for (const generation of [host.nextGeneration, host.generation, host.nextGeneration]) {
          const flags = ["--generation", generation, "--drain-seconds", "0"];
          expect(await host.apply(...flags)).toMatchObject({ code: 0, stderr: "" });
        }
      } finally {
        isOver = true;
      }
    };
    const look = async (verb: string) => {
      let looks = 0;
      for (; !isOver; looks++) {
        const answer = await host.raw(verb, "--json", ...host.common.slice(0, 4));
        expect({ verb, ...answer }).toMatchObject({ verb, code: 0, stderr: "" });
        JSON.parse(answer.stdout);
      }
      return looks;
    };
    const [, ...looks] = await Promise.all([upgrade(), look("status"), look("flows")]);
    expect(Math.min(...looks)).toBeGreaterThan(0);
  });
});
