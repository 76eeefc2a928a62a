// SPDX-License-Identifier: Apache-2.0
// Long: one table of cases for each way into the kernel.
/*
 * The splice guard, by each way into the kernel that this machine has: programs that splice get
 * every byte. Not proven here: Go and HAProxy themselves (test/e2e/apps); that a program which
 * cannot take a refusal is whole when it begins to splice after it has received.
 */
import { join } from "node:path";
import { beforeEach, describe, expect, type TestContext, test } from "vitest";
import { Host } from "../support/host.js";
import { amount, call, isThere as isFileThere, isGuest, slowness } from "../support/machine.js";
import { Datapath, expectCounters, expectEmpty, isSkipped } from "./datapath.js";

const some = expect.toSatisfy((count: number) => count > 0, "more than 0");
const folder = "/sys/fs/bpf/socket-bypass/_splice";
const programs = join(folder, "maps/programs");
/** Ways that this kernel has not, found by the first case of each. */
const lacking = new Set<string>();
/** The way in. `status` says so too, but takes long on an emulated processor. */
const serving = () => call("sh", "-c", 'readlink "$0"/serving || echo none', folder).trim().split(" ")[0];
const EINVAL = 22;
const ENOSYS = 38;

describe.skipIf(isSkipped)("without a way into the kernel", () => {
  test("an installation goes on, and says so", async () => {
    Host.spliceWays = "no-way";
    try {
      const path = await Datapath.make([], "--splice-guard", "auto");
      expect((await path.host.status()).spliceGuard).toMatchObject({
        ...{ declared: "auto", way: "none" },
        why: expect.stringMatching(/^no-way: /),
      });
      await path.play("splice.receiving");
      await expectCounters(path, { pairs: 1, redirected_messages: some });
      const required = await path.host.verb("selftest", "--off", "--splice-guard", "require");
      expect(required).toMatchObject({ code: 3, stderr: expect.stringContaining("expected a way to protect") });
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

  /** What was counted for Python while `work` ran. */
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
   * They are known by address: a socket of the next case at that of a closed one would stay on TCP
   * when it is adopted.
   */
  const forgetSplicers = () => {
    const pin = join(folder, "maps/splicers");
    const rows = JSON.parse(call("bpftool", "-j", "map", "dump", "pinned", pin)) as { key: string[] }[];
    const line = 'for key; do bpftool map delete pinned "$0" key $key || :; done';
    call("sh", "-c", line, pin, ...rows.map(({ key }) => key.join(" ")));
  };

  for (const move of way === "syscall" ? ["splice", "sendfile"] : ["splice", "sendfile", "ring"]) {
    for (const blocks of move === "ring" ? ["blocks"] : ["blocks", "polls"]) {
      guarded(`a reader that only knows ${move} and ${blocks} gets everything, by TCP`, async () => {
        expect(await acts(() => path.play("splice.from_the_first", move, blocks))).toEqual({ kept: 1, refused: 0 });
        await expectCounters(path, { pairs: 1, ...(blocks === "polls" ? { leaves: some } : {}) });
      });

      guarded(
        `a reader that goes over to ${move} and ${blocks} is refused and gets everything by the bypass`,
        async () => {
          expect(await path.play("splice.after_a_header", move, blocks)).toEqual({ refused: 1 });
          await expectCounters(path, { pairs: 1, redirected_messages: some });
        },
      );
    }
  }

  guarded("one that sleeps in a splice when the first bytes come gets everything", async () => {
    expect(await acts(() => path.play("splice.asleep"))).toEqual({ kept: 1, refused: 0 });
  });

  guarded("a splice after the end of the connection leaves nothing behind", async () => {
    await path.play("splice.after_the_end");
    await expectEmpty(path);
  });

  guarded("one that mixes recv and splice gets everything in order", async () => {
    for (const blocks of ["blocks", "polls"])
      expect(await path.play("splice.after_a_header", "splice", blocks, "mixes")).toEqual({ refused: some });
  });

  guarded("one that splices again and again leaves the bypass, and is refused no more", async () => {
    expect(await path.play("splice.again_and_again")).toEqual({ refused: some, refused_at_the_end: 0 });
    await expectCounters(path, { pairs: 1, leaves: some, gone: some });
  });

  guarded("of two readers of one socket, one that receives and one that splices, each byte comes to one", async () => {
    await path.play("splice.several");
  });

  guarded("a child that splices from the socket of its parent gets everything", async () => {
    await path.play("splice.forked");
  });

  guarded("a program that is passed the socket and only splices gets everything", async () => {
    await path.play("splice.passed");
  });

  guarded("a relay that splices both ways is whole, from the first byte on and after a header", async () => {
    await path.play("splice.relayed", "falls_back", "early", amount(4_000_000));
    await path.play("splice.relayed", "knows_no_other", "early", amount(4_000_000));
    await path.play("splice.relayed", "falls_back", "late", amount(4_000_000));
  });

  guarded("a program gets the error at which it takes recv", async () => {
    expect(await path.play("splice.named", "haproxy")).toEqual({ error: ENOSYS });
    expect(await path.play("splice.named", "haproxy-like")).toEqual({ error: EINVAL });
    expect((await path.host.status()).spliceGuard.programs).toContainEqual({
      ...{ program: "haproxy", kept: 0 },
      refused: some,
    });
  });

  guarded("after a reset, what was redirected is not lost to one that splices", async () => {
    expect(await path.play("splice.reset_unread")).toEqual({ refused: 1 });
  });

  guarded("a socket that has left is spliced from as before", async () => {
    const run = path.start("splice.left");
    await run.ready();
    await path.drain();
    run.go();
    await run.result();
  });

  guarded("sockets of others are spliced from, and not counted", async () => {
    expect(await acts(() => path.play("splice.elsewhere"))).toEqual({ kept: 0, refused: 0 });
  });

  guarded("the self-test proves it", async () => {
    const proof = JSON.parse(await path.ok("selftest", "--timeout", `${30 * slowness}`));
    expect(proof).toMatchObject({ selftest: "passed", spliceGuard: way });
    expect(proof.facts).toMatchObject({ splice: "safe", splice_nonblock: "safe" });
    const { programs: named } = (await path.host.status()).spliceGuard;
    expect(named.filter(({ program }) => program.startsWith("probe-"))).toEqual([]);
  });

  guarded("what somebody unpinned comes back with the next attach, for connections that are open too", async () => {
    const run = path.start("splice.left", "falls_back");
    await run.ready();
    call("rm", "-rf", folder);
    expect((await path.host.status()).healthy).toBe(false);
    await path.ok("attach");
    expect(await path.host.status()).toMatchObject({ healthy: true, spliceGuard: { way } });
    run.go();
    expect(await run.result()).toEqual({ refused: 1 });
  });

  guarded("a policy of everything is taken", async () => {
    await path.ok("policy set", "--everything");
    expect(await path.host.status()).toMatchObject({ healthy: true, policy: { everything: true } });
  });

  guarded("off takes it away, unless another instance wants it", async () => {
    const other = new Host(path.host.shell);
    other.spliceGuard = "auto";
    await path.ok("attach", "--splice-guard", "off");
    const others = call("ls", folder)
      .split("\n")
      .filter((name) => name.startsWith("for-"));
    expect((await path.host.status()).spliceGuard).toMatchObject({
      declared: "off",
      way: others.length > 1 ? way : "none",
    });
    await other.apply();
    expect((await path.host.status()).spliceGuard).toMatchObject({ declared: "off", way });
    await path.ok("attach");
    expect((await other.verb("remove")).code).toBe(0);
    expect((await path.host.status()).spliceGuard).toMatchObject({ declared: "auto", way });
    expect(await path.ok("remove")).toBe("done\n");
    expect([path.host.pins].filter(isFileThere)).toEqual([]);
    expect(isFileThere(join(folder, `for-${path.host.instance}`))).toBe(false);
    if (others.length < 2) expect(isFileThere(folder)).toBe(false);
  });

  guarded("an instance that was not sent what notices MSG_WAITALL leaves that of another", async () => {
    const other = new Host(path.host.shell);
    other.spliceGuard = "auto";
    await other.apply();
    call("rm", join(other.home, other.generation, "splice_waitall.bpf.o"));
    const before = call("ls", folder);
    expect((await other.verb("attach")).code).toBe(0);
    // The guard is another one now.
    expect(call("ls", folder)).not.toBe(before);
    expect((await path.host.status()).spliceGuard).toMatchObject({ way, waitall: true });
    expect((await other.verb("remove")).code).toBe(0);
  });

  guarded(
    "connections that were open before: who has spliced, who sleeps in a splice, and who will",
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
    "who asks for all bytes of a record (MSG_WAITALL) gets them, on TCP, and one who begins to goes back to it",
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

  guarded("who receives is redirected to", async () => {
    expect(await acts(() => path.play("splice.receiving"))).toEqual({ kept: 0, refused: 0 });
    await expectCounters(path, { pairs: 1, redirected_messages: some, leaves: 0 });
  });
});

test.runIf(isGuest)("the virtual machine has the first two ways", () => {
  expect([...lacking].filter((way) => way !== "syscall")).toEqual([]);
});
