// SPDX-License-Identifier: Apache-2.0
/*
 * Each kind of danger of which `advise` warns is provoked, here or on another kernel: what
 * sockets and the kernel do in this file, and what real programs do in
 * test/e2e/apps/advise-dangers.test.ts.
 *
 * What this machine lacks is skipped. Debian's kernels have everything, so there, in the virtual
 * machines of test/kernels, its absence is a failure. Not proven here: the kernel's initiator of
 * iSCSI and its client of NFS, whose sockets differ from those of the servers here in their
 * direction only.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { bundle, root } from "../support/host.js";
import { call, countsRedirected, isGuest, send } from "../support/machine.js";
import { Datapath, isSkipped } from "./datapath.js";

interface Danger {
  /** The first one gives its reason. */
  readonly kinds: readonly string[];
  readonly advice: "danger" | "leave";
  /** A case of cases/dangers.py with its arguments. */
  readonly run: readonly [string, ...string[]];
  /** The name of its server; default: backend. */
  readonly server?: string;
  /** The program that the first kind is told of; default: the server's. */
  readonly program?: string;
  /** A line of the shell that fails if this machine has no such thing. */
  readonly needs?: string;
}

const stays = { advice: "leave" } as const;
const harms = { advice: "danger" } as const;
const atClient = { ...stays, program: "frontend" };

const dangers: Readonly<Record<string, Danger>> = {
  "a client with SO_RCVLOWAT": { kinds: ["lowat"], ...atClient, run: ["lowat"] },
  "a client with SO_ZEROCOPY": { kinds: ["zerocopy"], ...atClient, run: ["zerocopy"] },
  "a client with SO_OOBINLINE": { kinds: ["option"], ...atClient, run: ["option"] },
  "a listener that defers, where FIONREAD is wrong": {
    ...{ kinds: ["deferred"], ...stays, run: ["deferred"] },
    needs: isFionreadRight() ? "false" : "true",
  },
  "a listener of MPTCP": { kinds: ["mptcp"], ...stays, run: ["mptcp"], needs: "test -e /proc/sys/net/mptcp/enabled" },
  "TLS in the kernel": {
    kinds: ["ktls"],
    ...harms,
    run: ["ktls"],
    needs: "modprobe -q tls; grep -qw tls /proc/sys/net/ipv4/tcp_available_ulp",
  },
  "a socket that no process has open": {
    ...{ kinds: ["kernel"], ...harms, run: ["in_flight"], program: "?" },
    // Otherwise its process may be the one that may not be looked at.
    needs: "for process in /proc/[0-9]*; do readlink $process/ns/net || test ! -e $process || exit 1; done",
  },
  "the kernel's own client of NBD": {
    ...{ kinds: ["kernel"], ...harms, run: ["nbd"], program: "?" },
    needs: "modprobe -q nbd; test -e /dev/nbd0",
  },
  "the kernel's own server of NFS": {
    ...{ kinds: ["nfs", "kernel"], ...harms, run: ["nfs"], server: "?" },
    needs: "modprobe -q nfsd; grep -qw nfsd /proc/filesystems",
  },
  "a telnet session that interrupts": { kinds: ["urgent"], ...harms, run: ["urgent"] },
  ...onPorts("iscsi", "iSCSI", 860, 3260),
  ...onPorts("nfs", "NFS", 2049),
  ...onPorts("nbd", "NBD", 10809),
  ...onPorts("urgent", "FTP, rlogin or rsh", 21, 513, 514),
  "a program that asks FIONREAD, where that is wrong": {
    ...{ kinds: ["fionread"], ...harms, run: ["named", "nginx"], server: "nginx" },
    needs: countsRedirected() ? "false" : "true",
  },
  // The last one, because a target gives up an initiator that says nothing for 45 seconds.
  "the kernel's own target of iSCSI": {
    ...{ kinds: ["iscsi", "kernel"], ...harms, run: ["iscsi"], server: "?" },
    needs: "modprobe -q iscsi_target_mod; mountpoint -q /sys/kernel/config || mount -t configfs c /sys/kernel/config",
  },
};

/** Kinds whose programs test/e2e/apps/advise-dangers.test.ts runs. */
const ofPrograms = ["splice", "splice-only", "splice-unknown", "fionread", "go", "relay"];

/** Kinds that no test provokes, and why. */
const unprovoked = {
  ulp: "no kernel of the tests has such a protocol besides those of TLS and MPTCP: Debian builds none of espintcp, and that of SMC is gone. test/host/helper/advise-fuzz.c reads what a kernel with one writes",
};

/** As the host script tells it to the programs. */
function isFionreadRight(): boolean {
  if (isSkipped) return false;
  const folder = bundle();
  send(folder);
  const unread = call("sh", "-c", '"$0-$(uname -m)" unread || :', join(folder, "probe")).trim();
  return countsRedirected() && unread === "exact";
}

function onPorts(kind: string, protocol: string, ...ports: number[]): Record<string, Danger> {
  const row = (port: number): Danger => ({ kinds: [kind], ...harms, run: ["on_port", `${port}`] });
  return Object.fromEntries(ports.map((port) => [`a service on port ${port}, as of ${protocol}`, row(port)]));
}

test("every kind that advise knows is provoked by a test, or is listed with the reason why not", () => {
  const source = readFileSync(join(root, "host/helper/advise/dangers.c"), "utf8");
  const known = [...source.matchAll(/^\t\{ "([a-z-]+)", (?:HARMS|STAYS|MAY_HARM),/gm)].map(([, kind]) => kind);
  expect(known.length).toBeGreaterThan(10);
  const provoked = [...Object.values(dangers).flatMap(({ kinds }) => kinds), ...ofPrograms];
  expect([...new Set(provoked), ...Object.keys(unprovoked)].sort()).toEqual(known.sort());
});

describe.skipIf(isSkipped)("advise", () => {
  const present = Object.entries(dangers).filter(([, { needs = "true" }]) => !lacks(needs));
  const absent = Object.entries(dangers).filter((one) => !present.some(([title]) => title === one[0]));
  let advice: Advice;
  const ports: Record<string, number> = {};

  beforeAll(async () => {
    const path = await Datapath.make([], "--ports", "1");
    const running: ReturnType<Datapath["start"]>[] = [];
    const start = async (title: string, [name, ...words]: Danger["run"]) => {
      const one = path.start(`dangers.${name}`, ...words);
      running.push(one);
      ports[title] = Number(await one.ready());
    };
    try {
      await start("none", ["plain"]);
      if (isFionreadRight()) await start("deferring", ["deferred"]);
      for (const [title, { run }] of present) await start(title, run);
      const { code, stdout, stderr } = await path.host.raw("advise", "--json", "--seconds", "2");
      expect({ code, stderr }).toMatchObject({ code: 0 });
      advice = JSON.parse(stdout);
    } finally {
      // The kernel's own servers outlive a case that is killed.
      for (const one of running) one.go();
      await Promise.allSettled(running.map((one) => one.result()));
    }
    for (const one of running) await one.result();
  });

  test("warns of nothing at a service of ordinary sockets", () => {
    expect(find("none", "backend")).toMatchObject({ advice: "include", dangers: [] });
    expect(advice.traffic.ports).toContain(ports.none);
  });

  test.skipIf(!isFionreadRight())("warns of nothing at a listener that defers, where FIONREAD is right", () => {
    expect(find("deferring", "backend")).toMatchObject({ advice: "include", dangers: [] });
  });

  for (const [title, { kinds, advice: word, server = "backend", program = server }] of present) {
    test(`warns of ${title}: ${kinds.join(", ")}`, () => {
      const found = find(title, server);
      // Both ends may be in the same one.
      expect([...new Set(found.dangers.map(({ kind }) => kind))].sort()).toEqual([...kinds].sort());
      const first = found.dangers.find(({ kind }) => kind === kinds[0]);
      expect(first?.program).toBe(program);
      expect(found).toMatchObject({ advice: word, gain: null, reason: expect.stringContaining(`${first?.reason}`) });
      expect(advice.traffic.ports).not.toContain(ports[title]);
    });
  }

  for (const [title, { kinds }] of absent) test.skip(`warns of ${title}: ${kinds.join(", ")}`, () => {});

  function find(title: string, program: string): Service {
    const found = advice.services.filter((one) => one.port === ports[title] && one.program === program);
    expect(found).toHaveLength(1);
    return found[0] as Service;
  }
});

/** Loads what it needs. On a virtual machine its absence is a failure, not a reason to skip. */
function lacks(needs: string): boolean {
  if (isSkipped) return true;
  const isThere = call("sh", "-c", `(${needs}) >/dev/null 2>&1 && echo yes || :`) !== "";
  return !isThere && !(isGuest && needs !== "false");
}

interface Service {
  readonly port: number;
  readonly program: string;
  readonly advice: string;
  readonly reason: string;
  readonly dangers: readonly { readonly kind: string; readonly program: string; readonly reason: string }[];
}
interface Advice {
  readonly services: readonly Service[];
  readonly traffic: { readonly ports: readonly number[] };
}
