// SPDX-License-Identifier: Apache-2.0
// Long: one table of cases on one installation.
/*
 * Not proven here: what happens if one of several readers of a socket is preempted for more than a
 * second between two instructions of the kernel, just when the socket is adopted; kernels before
 * 6.12, which refuse to adopt.
 */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { removeTool, writeTool } from "../support/host.js";
import {
  type Case,
  Datapath,
  expectCounters,
  expectEmpty,
  isSkipped,
  leaving,
  patient,
  switching,
  trusting,
} from "./datapath.js";

const some = expect.toSatisfy((count: number) => count > 0, "more than 0");

/** Runs the verb once and gives its answer. */
async function adopt(path: Datapath): Promise<Record<string, number>> {
  return JSON.parse(await path.ok("adopt", "--json", "--force"));
}

function setDrain(path: Datapath, isOn: boolean): void {
  const pin = join(path.host.pins, path.host.generation, "maps/knobs");
  const value = [isOn ? "1" : "0", ..."0000000"];
  execFileSync("bpftool", ["map", "update", "pinned", pin, "key", ..."0000", "value", ...value]);
}

/** Starts cases whose connections are established while a drain keeps them from being enrolled. */
async function before(path: Datapath, ...cases: [name: string, ...args: (string | number)[]][]): Promise<Case[]> {
  path.caseSeconds = 100;
  setDrain(path, true);
  const early = cases.map(([name, ...args]) => path.start(`adopt.${name}`, ...args));
  await Promise.all(early.map((one) => one.ready()));
  setDrain(path, false);
  return early;
}

/** Lets the cases run to their end, past this many further lines of each. */
async function finish(cases: Case[], lines = 0): Promise<Record<string, number>[]> {
  for (let line = 0; line <= lines; line++) {
    for (const one of cases) one.go();
    if (line < lines) await Promise.all(cases.map((one) => one.ready()));
  }
  return await Promise.all(cases.map((one) => one.result()));
}

describe.skipIf(isSkipped)("adopted connections", () => {
  test("adopted connections lose nothing and are redirected after a while, whatever their ends were doing", async () => {
    const path = await Datapath.make([...patient, ...trusting]);
    const cases = await before(
      path,
      ["answered", "recv"],
      ["answered", "poll"],
      ["answered", "waitall"],
      ["unread"],
      ["queued"],
      ["full_send"],
      ["family", "ipv4"],
      ["family", "ipv6"],
      ["family", "mapped"],
      ["family", "mapped6"],
      ["apart", "namespace"],
    );
    const all = { adopted: cases.length, unpaired: 0, full: 0, refused: 0, special: 0, busy: 0, left: 0, enrolled: 0 };
    expect(await adopt(path)).toMatchObject(all);
    expect(path.sockets()).toBe(2 * cases.length);
    const enrolled = async () => (await path.host.status()).generations[0]?.ports.map(({ enrolled }) => enrolled);
    expect(await enrolled()).toEqual([cases.length]);
    await finish(cases);
    await expectCounters(path, { pairs: cases.length, redirect_failed: 0 });
    await expectEmpty(path);
    expect(await enrolled()).toEqual([0]);
  });

  test("attach --adopt adopts connections that were open before it, and says so on stderr", async () => {
    const path = await Datapath.make(patient);
    await path.ok("detach");
    const early = path.start("adopt.idle", 3);
    await early.ready();
    const { code, stdout, stderr } = await path.host.verb("attach", "--adopt", "--force");
    expect({ code, stdout, stderr }).toEqual({
      code: 0,
      stdout: expect.stringMatching(/^\d+\n$/),
      stderr: expect.stringMatching(/^socket-bypass: adopted=3 seen=\d+ enrolled=0 [a-z0-9_= ]+ unpaired=0\n$/),
    });
    await finish([early], 2);
    await expectCounters(path, { pairs: 3, redirected_messages: some, unpaired: 0 });
  });

  test.each([
    ["default thresholds", []],
    ["thousands of switches", switching],
    ["leaving in between", leaving],
  ] as const)("busy connections are adopted at once and lose no byte: %s", async (_, thresholds) => {
    const path = await Datapath.make(thresholds);
    const cases = await before(path, ["load", "threads", 3], ["load", "loops", 3], ["load", "requests", 3], ["split"]);
    expect(await adopt(path)).toMatchObject({ adopted: 10, unpaired: 0, full: 0, refused: 0 });
    await new Promise((wake) => setTimeout(wake, 5000));
    const bytes = (await finish(cases)).map((result) => result.bytes);
    await expectCounters(path, { pairs: 10, redirected_messages: some, redirect_failed: 0 });
    await expectEmpty(path);
    const { redirected_messages, returns, leaves } = path.counters();
    console.log(`${bytes} bytes, ${redirected_messages} redirected messages, ${returns} returns, ${leaves} leaves`);
  });

  test("one run adopts 1000 connections, and a second run finds them enrolled", async () => {
    const path = await Datapath.make(patient);
    const early = await before(path, ["idle", 1000]);
    expect(await adopt(path)).toMatchObject({ adopted: 1000, enrolled: 0, unpaired: 0 });
    expect(path.sockets()).toBe(2000);
    expect(await adopt(path)).toMatchObject({ adopted: 0, enrolled: 2000, unpaired: 0 });
    for (const one of early) one.go();
    for (const one of early) await one.ready();
    expect(path.counters()).toMatchObject({ pairs: 1000, redirect_failed: 0 });
    expect(path.counters().redirected_messages).toBeGreaterThan(5000);
    await finish(early, 1);
    await expectEmpty(path);
  });

  test("an option that only TCP obeys keeps a connection on TCP", async () => {
    const path = await Datapath.make(patient);
    const early = await before(path, ["option"]);
    expect(await adopt(path)).toMatchObject({ adopted: 0, special: 1, unpaired: 1 });
    expect(path.sockets()).toBe(0);
    await finish(early);
  });

  test("a connection whose peer is in another cgroup, where nothing tracks it, stays plain TCP", async () => {
    const path = await Datapath.make(patient);
    const early = await before(path, ["apart", "cgroup"]);
    const found = await adopt(path);
    expect(found).toMatchObject({ adopted: 0, unpaired: 1 });
    expect(found.other_cgroup).toBeGreaterThanOrEqual(1);
    expect(path.sockets()).toBe(0);
    await finish(early);
    expect(path.counters()).toMatchObject({ redirected_messages: 0, tcp_messages: 0 });
  });

  test.each([
    ["--ports", "1"],
    ["--cidrs", "10.0.0.0/8"],
  ])("connections that %s %s leaves out stay plain TCP", async (...policy) => {
    const path = await Datapath.make([], ...policy);
    const early = await before(path, ["idle", 1]);
    expect(await adopt(path)).toMatchObject({ adopted: 0, policy: 2, unpaired: 0 });
    expect(path.sockets()).toBe(0);
    await finish(early, 2);
  });

  test("a map without room for all holds both ends of a connection or neither", async () => {
    const path = await Datapath.make(patient, "--sockets", "64");
    const early = await before(path, ["idle", 100]);
    const found = await adopt(path);
    expect(found.adopted).toBe(path.sockets() / 2);
    expect((found.adopted ?? 0) + (found.full ?? 0)).toBe(100);
    await finish(early, 2);
    await expectEmpty(path);
  });

  test("a drain takes adopted connections out of the map, and after a resume another adopt redirects them again", async () => {
    const path = await Datapath.make(patient);
    const early = await before(path, ["idle", 20]);
    expect(await adopt(path)).toMatchObject({ adopted: 20 });
    for (const one of early) one.go();
    for (const one of early) await one.ready();
    await path.drain();
    expect(path.sockets()).toBe(0);
    await path.ok("resume");
    expect(await adopt(path)).toMatchObject({ adopted: 20, left: 0, busy: 0, unpaired: 0 });
    const { redirected_messages } = path.counters();
    for (const one of early) one.go();
    for (const one of early) await one.ready();
    expect(path.counters()).toMatchObject({ pairs: 40, redirected_messages });
    await finish(early);
    await expectEmpty(path);
  });

  test("a new generation that adopts takes over the adopted connections of the old one", async () => {
    const path = await Datapath.make(patient);
    const early = await before(path, ["idle", 20]);
    expect(await adopt(path)).toMatchObject({ adopted: 20 });
    for (const one of early) one.go();
    for (const one of early) await one.ready();
    const next = await path.host.apply(
      "--generation",
      path.host.nextGeneration,
      "--adopt",
      "--force",
      "--splice-guard",
      "off",
    );
    expect(next).toMatchObject({ code: 0, stderr: expect.stringContaining("adopted=20 ") });
    await finish(early, 1);
  });

  test("every byte arrives when the bypass is removed under load", async () => {
    const path = await Datapath.make(switching);
    const load = await before(path, ["load", "loops", 10]);
    expect((await adopt(path)).adopted).toBeGreaterThan(0);
    await new Promise((wake) => setTimeout(wake, 2000));
    await path.ok("remove", "--drain-seconds", "5");
    await finish(load);
  });

  test("a run finishes what one that was killed between its passes began", async () => {
    const path = await Datapath.make(patient);
    const early = await before(path, ["idle", 20]);
    // These words write the number of the pass, here 2.
    writeTool(
      path.host,
      "bpftool",
      'case "$*" in *"tasks key hex 01 00 00 00 value hex 02"*) kill -9 0 ;; esac; exec /usr/sbin/bpftool "$@"',
    );
    expect(await path.host.verb("adopt", "--force")).toMatchObject({ signal: "SIGKILL" });
    removeTool(path.host, "bpftool");
    expect(path.sockets()).toBe(20);
    expect(await adopt(path)).toMatchObject({ adopted: 20, unpaired: 0 });
    expect(path.sockets()).toBe(40);
    await finish(early, 2);
    await expectEmpty(path);
  });

  test("a kernel with a fault in the iterator is refused by version, unless forced", async () => {
    const path = await Datapath.make();
    const release = (text: string) => {
      const answers = `case "$1" in -r) echo ${text} ;; -v) echo 1 ;; *) exec /usr/bin/uname "$@" ;; esac`;
      writeTool(path.host, "uname", answers);
      return path.host.verb("adopt");
    };
    for (const text of ["6.12.103", "6.17.9-generic", "6.18.44", "7.1.8", "6.1.190"]) {
      expect(await release(text)).toMatchObject({
        code: 3,
        stderr: expect.stringMatching(
          `: adopt: expected a kernel with the fix of .* \\([\\d.]+ has it\\), found ${text}; update it, or give --force`,
        ),
      });
    }
    expect(await release("6.18.45")).toMatchObject({ code: 0, stdout: expect.stringContaining("adopted=0 ") });
    expect(await release("7.2.0-rc1")).toMatchObject({ code: 0 });
  });

  test("on a kernel that does not load adopt.bpf.o, adopt exits with 3, and attach goes on without it and says so", async () => {
    const path = await Datapath.make();
    const refuse = `case "$*" in *adopt.bpf.o*) echo '{"error":"no such iterator"}'; exit 255 ;; esac`;
    writeTool(path.host, "bpftool", `${refuse}; exec /usr/sbin/bpftool "$@"`);
    const words =
      "expected one that loads adopt.bpf.o (Linux 6.12 or newer), found: no such iterator; " +
      "leave adopt out on this host, or update its kernel\n";
    expect(await path.host.verb("adopt", "--force")).toMatchObject({
      code: 3,
      stdout: "",
      stderr: `socket-bypass: kernel: ${words}`,
    });
    expect(await path.host.verb("attach", "--adopt", "--force")).toMatchObject({
      code: 0,
      stderr: `socket-bypass: note: open connections stay on TCP: kernel: ${words}`,
    });
  });

  test("on a kernel that cannot call the programs for open connections, adopt exits with 3 and enrols nothing", async () => {
    const path = await Datapath.make(["-DCALLBACKS=9999"]);
    const early = await before(path, ["idle", 1]);
    expect(await path.host.verb("adopt", "--force")).toMatchObject({
      code: 3,
      stderr: expect.stringContaining("expected Linux 6.12 or newer"),
    });
    expect(path.sockets()).toBe(0);
    await finish(early, 2);
    expect(path.counters()).toMatchObject({ pairs: 0, redirected_messages: 0, tcp_messages: 0 });
  });

  test("adopt refuses a drained instance", async () => {
    const path = await Datapath.make();
    await path.ok("drain");
    expect(await path.host.verb("adopt", "--force")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("expected one that is not drained, found it drained"),
    });
  });
});
