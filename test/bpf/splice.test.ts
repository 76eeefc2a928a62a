// SPDX-License-Identifier: Apache-2.0
// Long: one table of cases for each way into the kernel.
/*
 * The splice guard, by each way that this machine's kernel has: programs that splice get every
 * byte. Not proven here: Go and HAProxy themselves (test/e2e/apps); a program that starts to splice
 * after it has received, and cannot cope with a refusal.
 */
import { join } from "node:path";
import { beforeEach, describe, expect, type TestContext, test } from "vitest";
import { Host } from "../support/host.js";
import { amount, call, isThere as isFileThere, isGuest, slowness } from "../support/machine.js";
import { Datapath, expectCounters, expectEmpty, isSkipped } from "./datapath.js";

const some = expect.toSatisfy((count: number) => count > 0, "more than 0");
const folder = "/sys/fs/bpf/socket-bypass/_splice";
const programs = join(folder, "maps/programs");
/** The ways that this kernel lacks, as the first case of each way finds out. */
const lacking = new Set<string>();
/** Gives the way in use. `status` says so too, but takes long on an emulated processor. */
const serving = () => call("sh", "-c", 'readlink "$0"/serving || echo none', folder).trim().split(" ")[0];
const EINVAL = 22;
const ENOSYS = 38;

describe.skipIf(isSkipped)("without a way for the splice guard", () => {
  test("an installation goes on, and says so", async () => {
    Host.spliceWays = "no-way";
    try {
      const path = await Datapath.make([], "--splice-guard", "auto");
      expect((await path.host.status()).spliceGuard).toMatchObject({
        ...{ declared: "auto", method: "none" },
        why: expect.stringMatching(/^no-way: /),
      });
      await path.play("splice.receiving");
      await expectCounters(path, { pairs: 1, redirected_messages: some });
      const required = await path.host.verb("selftest", "--off", "--splice-guard", "require");
      expect(required).toMatchObject({ code: 3, stderr: expect.stringContaining("expected a method to protect") });
    } finally {
      Host.spliceWays = "";
    }
  });
});

describe.skipIf(isSkipped).each(["lsm", "fmod_ret", "syscall"])("the splice guard by %s", (way) => {
  let path: Datapath;
  let isThere = false;

  beforeEach(async () => {
    if (lacking.has(way)) return;
    Host.spliceWays = way;
    path = await Datapath.make([], "--splice-guard", "auto", "--drain-seconds", "1");
    if (serving() !== way) await path.host.verb("attach");
    isThere = serving() === way;
    if (!isThere) lacking.add(way);
    return () => {
      Host.spliceWays = "";
    };
  });

  const guarded = (title: string, work: (context: TestContext) => Promise<void>) =>
    test(title, async (context) => {
      if (!isThere) return context.skip("this kernel has no such way");
      await work(context);
    });

  /** Gives what the guard counted for Python while `work` ran. */
  const acts = async (work: () => Promise<unknown>) => {
    const before = counted();
    await work();
    const after = counted();
    return { kept: after.kept - before.kept, refused: after.refused - before.refused };
  };
  const counted = () => {
    const rows = JSON.parse(call("bpftool", "-j", "map", "dump", "pinned", programs)) as {
      key: string[];
      value: string[];
    }[];
    const mine = rows.find(({ key }) => key.slice(0, 6).every((byte, at) => Number(byte) === "python".charCodeAt(at)));
    const [kept = 0, refused = 0] = [0, 8].map(
      (at) => Number(mine?.value[at] ?? 0) + 256 * Number(mine?.value[at + 1] ?? 0),
    );
    return { kept, refused };
  };

  /**
   * The guard remembers splicers by address, so a socket of the next case at the address of a
   * closed one would stay on TCP when it is adopted.
   */
  const forgetSplicers = () => {
    const pin = join(folder, "maps/splicers");
    const rows = JSON.parse(call("bpftool", "-j", "map", "dump", "pinned", pin)) as { key: string[] }[];
    const line = 'for key; do bpftool map delete pinned "$0" key $key || :; done';
    call("sh", "-c", line, pin, ...rows.map(({ key }) => key.join(" ")));
  };

  for (const move of way === "syscall" ? ["splice", "sendfile"] : ["splice", "sendfile", "ring"]) {
    for (const blocks of move === "ring" ? ["blocks"] : ["blocks", "polls"]) {
      guarded(`a reader that only knows ${move} and ${blocks} gets everything over TCP`, async () => {
        expect(await acts(() => path.play("splice.from_the_first", move, blocks))).toEqual({ kept: 1, refused: 0 });
        await expectCounters(path, { pairs: 1, ...(blocks === "polls" ? { leaves: some } : {}) });
      });

      guarded(
        `a reader that goes over to ${move} and ${blocks} is refused and gets everything through the bypass`,
        async () => {
          expect(await path.play("splice.after_a_header", move, blocks)).toEqual({ refused: 1 });
          await expectCounters(path, { pairs: 1, redirected_messages: some });
        },
      );
    }
  }

  guarded("a reader that sleeps in a splice when the first bytes come gets everything", async () => {
    expect(await acts(() => path.play("splice.asleep"))).toEqual({ kept: 1, refused: 0 });
  });

  guarded("a splice after the end of the connection leaves nothing behind", async () => {
    await path.play("splice.after_the_end");
    await expectEmpty(path);
  });

  guarded("a reader that mixes recv and splice gets everything in order", async () => {
    for (const blocks of ["blocks", "polls"])
      expect(await path.play("splice.after_a_header", "splice", blocks, "mixes")).toEqual({ refused: some });
  });

  guarded("a reader that splices again and again leaves the bypass, and is refused no more", async () => {
    expect(await path.play("splice.again_and_again")).toEqual({ refused: some, refused_at_the_end: 0 });
    await expectCounters(path, { pairs: 1, leaves: some, gone: some });
  });

  guarded("each byte reaches one of two readers of a socket, of which one receives and one splices", async () => {
    await path.play("splice.several");
  });

  guarded("a child that splices from its parent's socket gets everything", async () => {
    await path.play("splice.forked");
  });

  guarded("a program that is passed the socket and only splices gets everything", async () => {
    await path.play("splice.passed");
  });

  guarded("a relay that splices both ways loses nothing, from the first byte on or after a header", async () => {
    await path.play("splice.relayed", "falls_back", "early", amount(4_000_000));
    await path.play("splice.relayed", "knows_no_other", "early", amount(4_000_000));
    await path.play("splice.relayed", "falls_back", "late", amount(4_000_000));
  });

  guarded("a program gets the error at which it falls back to recv", async () => {
    expect(await path.play("splice.named", "haproxy")).toEqual({ error: ENOSYS });
    expect(await path.play("splice.named", "haproxy-like")).toEqual({ error: EINVAL });
    expect((await path.host.status()).spliceGuard.programs).toContainEqual({
      ...{ program: "haproxy", kept: 0 },
      refused: some,
    });
  });

  guarded("a reader that splices after a reset loses nothing that was redirected", async () => {
    expect(await path.play("splice.reset_unread")).toEqual({ refused: 1 });
  });

  guarded("a socket that has left can be spliced from as before", async () => {
    const run = path.start("splice.left");
    await run.ready();
    await path.drain();
    run.go();
    await run.result();
  });

  guarded("sockets that are not enrolled can be spliced from, and are not counted", async () => {
    expect(await acts(() => path.play("splice.elsewhere"))).toEqual({ kept: 0, refused: 0 });
  });

  guarded("the self-test proves the guard", async () => {
    const proof = JSON.parse(await path.ok("selftest", "--timeout", `${30 * slowness}`));
    expect(proof).toMatchObject({ selftest: "passed", spliceGuard: way });
    expect(proof.facts).toMatchObject({ splice: "safe", splice_nonblock: "safe" });
    const { programs: named } = (await path.host.status()).spliceGuard;
    expect(named.filter(({ program }) => program.startsWith("probe-"))).toEqual([]);
  });

  guarded("the next attach restores what somebody unpinned, for open connections too", async () => {
    const run = path.start("splice.left", "falls_back");
    await run.ready();
    call("rm", "-rf", folder);
    expect((await path.host.status()).healthy).toBe(false);
    await path.ok("attach");
    expect(await path.host.status()).toMatchObject({ healthy: true, spliceGuard: { method: way } });
    run.go();
    expect(await run.result()).toEqual({ refused: 1 });
  });

  guarded("a policy of everything is accepted", async () => {
    await path.ok("policy set", "--everything");
    expect(await path.host.status()).toMatchObject({ healthy: true, policy: { everything: true } });
  });

  guarded("`off` removes the guard, unless another instance wants it", async () => {
    const other = new Host(path.host.shell);
    other.spliceGuard = "auto";
    await path.ok("attach", "--splice-guard", "off");
    const others = call("ls", folder)
      .split("\n")
      .filter((name) => name.startsWith("for-"));
    expect((await path.host.status()).spliceGuard).toMatchObject({
      declared: "off",
      method: others.length > 1 ? way : "none",
    });
    await other.apply();
    expect((await path.host.status()).spliceGuard).toMatchObject({ declared: "off", method: way });
    await path.ok("attach");
    expect((await other.verb("remove")).code).toBe(0);
    expect((await path.host.status()).spliceGuard).toMatchObject({ declared: "auto", method: way });
    expect(await path.ok("remove")).toBe("done\n");
    expect([path.host.pins].filter(isFileThere)).toEqual([]);
    expect(isFileThere(join(folder, `for-${path.host.instance}`))).toBe(false);
    if (others.length < 2) expect(isFileThere(folder)).toBe(false);
  });

  guarded("an instance without the program for MSG_WAITALL keeps that of another instance", async () => {
    const other = new Host(path.host.shell);
    other.spliceGuard = "auto";
    await other.apply();
    call("rm", join(other.home, other.generation, "splice_waitall.bpf.o"));
    const before = call("ls", folder);
    expect((await other.verb("attach")).code).toBe(0);
    // Without the object the digest of the guard differs, so another guard is attached now.
    expect(call("ls", folder)).not.toBe(before);
    expect((await path.host.status()).spliceGuard).toMatchObject({ method: way, waitall: true });
    expect((await other.verb("remove")).code).toBe(0);
  });

  guarded(
    "adopted connections get everything, whether they have spliced, sleep in a splice, or will splice",
    async (context) => {
      path.caseSeconds = 100;
      path.setDrain();
      forgetSplicers();
      const cases = ["early", "asleep", "late"].map((wait) => path.start("splice.adopted", wait));
      await Promise.all(cases.map((run) => run.ready()));
      await path.resume();
      const { code, stdout, stderr } = await path.host.verb("adopt", "--json", "--force");
      if (code === 3) {
        for (const run of cases) run.stop();
        return context.skip(stderr);
      }
      expect(JSON.parse(stdout)).toMatchObject({ adopted: 3 });
      for (const run of cases) run.go();
      const refused = [];
      for (const run of cases) refused.push((await run.result()).refused);
      expect(refused).toEqual([0, 0, 1]);
    },
  );

  guarded(
    "a reader with MSG_WAITALL gets whole records over TCP, and one that begins to use it goes back to TCP",
    async () => {
      expect((await path.host.status()).spliceGuard.waitall).toBe(true);
      expect(
        await acts(async () => expect(await path.play("splice.records", "early")).toMatchObject({ short: 0 })),
      ).toEqual({
        kept: 1,
        refused: 0,
      });
      const { short, last } = await path.play("splice.records", "late");
      expect(short).toBeGreaterThan(0);
      expect(last).toBeLessThan(300);
    },
  );

  guarded("a reader that only receives is redirected to", async () => {
    expect(await acts(() => path.play("splice.receiving"))).toEqual({ kept: 0, refused: 0 });
    await expectCounters(path, { pairs: 1, redirected_messages: some, leaves: 0 });
  });
});

test.runIf(isGuest)("the virtual machine has the ways lsm and fmod_ret", () => {
  expect([...lacking].filter((way) => way !== "syscall")).toEqual([]);
});
