// SPDX-License-Identifier: Apache-2.0
/*
 * Real connections (soak/*.c) under everything that can happen to a generation. `npm run soak` runs
 * the same for longer.
 *
 * Not proven here: what docs/contributing/testing.md lists. A leak shows in our programs and maps
 * that the kernel still has: a leaked psock keeps its program, and a leaked socket keeps the map of
 * its storage.
 */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { describe, expect, test, vi } from "vitest";
import type { Status } from "../support/host.js";
import {
  bundleWith,
  type Case,
  compileProgram,
  Datapath,
  expectEmpty,
  isSkipped,
  kernelMemory,
  leaving,
  patient,
  switching,
} from "./datapath.js";

const seconds = Number(process.env.SOCKET_BYPASS_SOAK_SECONDS ?? 20);
const connections = 20;
/** The run goes on until it has reached these, however slow the machine. */
const wanted = seconds < 300 ? { bytes: 1e9, switches: 300 } : { bytes: 5e9, switches: 5000 };
const over = (least: number) => expect.toSatisfy((count: number) => count > least, `more than ${least}`);
/**
 * Each upgrade takes the next of these. The second has the installed thresholds, but takes no
 * service's connections for too short.
 */
const builds = [[...switching, ...patient], patient, [...leaving, ...patient]];

describe.skipIf(isSkipped)("soak", () => {
  test(
    `${connections} connections at once, both directions, for ${seconds} s lose, reorder and repeat no byte under upgrade, drain, resume, remove, kills and storms`,
    async () => {
      const before = memory();
      const path = await Datapath.make(builds[0]);
      const life = new Life(path);
      const traffic = path.startProgram(
        "nice",
        "-n",
        "19",
        compileProgram("soak"),
        String(connections),
        ...crowd(path),
      );
      const changes = await life.whileRunning(traffic);
      traffic.stop();
      const summary = await traffic.result();

      await path.drain();
      await expectEmpty(path, life.generation);
      await life.note();
      const totals = life.totals;
      await path.ok("remove", "--drain-seconds", "5");
      await vi.waitFor(() => expect(life.leftInKernel()).toEqual([]), { timeout: 10_000, interval: 200 });
      await vi.waitFor(() => expect(memory().ofTcp).toBeLessThan(before.ofTcp + (32 << 20)), { timeout: 10_000 });
      await vi.waitFor(() => expect(memory().ofKernel).toBeLessThan(before.ofKernel + (64 << 20)), { timeout: 10_000 });

      const result = {
        seconds,
        ...summary,
        ...changes,
        ...totals,
        generations: life.generations,
        before,
        after: memory(),
      };
      console.log(`soak: ${JSON.stringify(result)}`);
      const file = process.env.SOCKET_BYPASS_SOAK_RESULT;
      if (file !== undefined) fs.writeFileSync(file, `${JSON.stringify(result)}\n`);
      expect(summary).toMatchObject({ bytes: over(wanted.bytes), kills: over(0), storms: over(0), storm_errors: 0 });
      if (isCrowded) expect(summary).toMatchObject({ containers: over(0) });
      expect(totals).toMatchObject({
        pairs: over(connections),
        redirected_bytes: over(1 << 20),
        spills: over(wanted.switches),
        returns: over(wanted.switches),
      });
    },
    (seconds + 300) * 1000,
  );
});

/** A long run also has hogs and containers, for which the short run of `npm test` has no time. */
const isCrowded = seconds >= 60;
const crowd = (path: Datapath) => (isCrowded ? [path.host.cgroupFolder] : []);

/** What happens to the installation while the traffic runs. */
class Life {
  generation: string;
  private number = 0;
  private readonly counters = new Map<string, Record<string, number>>();
  private readonly ids = { prog: new Set<number>(), map: new Set<number>() };

  constructor(private readonly path: Datapath) {
    this.generation = path.host.generation;
  }

  get generations(): number {
    return this.number + 1;
  }

  get totals(): Record<string, number> {
    const totals: Record<string, number> = {};
    for (const counters of this.counters.values())
      for (const [name, value] of Object.entries(counters)) totals[name] = (totals[name] ?? 0) + value;
    return totals;
  }

  async note(): Promise<void> {
    const status: Status = await this.path.host.status();
    for (const { generation, counters, programs } of status.generations) {
      const maps = this.path.mapIds(generation);
      this.counters.set(maps.join(), counters);
      for (const { id } of Object.values(programs)) this.ids.prog.add(id);
      for (const id of maps) this.ids.map.add(id);
    }
  }

  leftInKernel(): string[] {
    return (["prog", "map"] as const).flatMap((kind) =>
      [...this.ids[kind]]
        .filter((id) => spawnSync("bpftool", [kind, "show", "id", String(id)]).status === 0)
        .map((id) => `${kind} ${id}`),
    );
  }

  private async apply(): Promise<void> {
    const flags = ["--ports", "1-65535", "--off", "--drain-seconds", "1", "--generation", this.generation];
    await this.path.ok("apply", ...flags);
  }

  private async upgrade(): Promise<void> {
    this.generation = (++this.number).toString(16).padStart(12, "0");
    this.path.host.bundle = bundleWith(this.path.host, builds[this.number % builds.length] ?? []);
    await this.apply();
  }

  private isEnough(traffic: Case): boolean {
    const { bytes } = JSON.parse(traffic.lastLine());
    const { spills = 0, returns = 0 } = this.totals;
    return bytes > wanted.bytes && Math.min(spills, returns) > wanted.switches;
  }

  /**
   * Changes the installation until the time is over, each change has happened, and enough bytes
   * have moved. Gives how often each change happened.
   */
  async whileRunning(traffic: Case): Promise<Record<string, number>> {
    const done = { upgrades: 0, drains: 0, removals: 0, detaches: 0 };
    const end = Date.now() + seconds * 1000;
    const rest = async () => await traffic.during(1000);
    do {
      await rest();
      await this.note();
      await this.upgrade();
      done.upgrades++;
      await rest();
      await this.path.drain();
      await this.note();
      await this.path.ok("resume");
      done.drains++;
      await rest();
      await this.note();
      if (done.upgrades % 2) {
        await this.path.ok("detach", "--drain-seconds", "1");
        await this.path.ok("attach", "--generation", this.generation);
        done.detaches++;
      } else {
        await this.path.ok("remove", "--drain-seconds", "1");
        await rest();
        await this.apply();
        done.removals++;
      }
      await this.note();
      console.log(`soak: ${traffic.lastLine()} ${JSON.stringify(done)}`);
    } while (Date.now() < end || Math.min(...Object.values(done)) === 0 || !this.isEnough(traffic));
    return done;
  }
}

/** Gives the bytes of TCP's memory, and those of unreclaimable kernel memory. */
function memory(): { ofTcp: number; ofKernel: number } {
  const pages = /^TCP: .* mem (\d+)/m.exec(fs.readFileSync("/proc/net/sockstat", "utf8"))?.[1];
  return { ofTcp: Number(pages) * 4096, ofKernel: kernelMemory() };
}
