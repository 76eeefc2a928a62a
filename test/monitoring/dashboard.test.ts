// SPDX-License-Identifier: Apache-2.0
/*
 * Runs each expression of the dashboard on a real Prometheus that holds what real installations
 * have reported (record.ts). The compiler has checked the dashboard against Grafana's types. Not
 * proven here: how Grafana draws it.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { made } from "../../tools/monitoring/made.js";
import { Prometheus } from "../../tools/monitoring/prometheus.js";
import { readRecording } from "../../tools/monitoring/recording.js";
import { root } from "../support/host.js";

const lacking = spawnSync("prometheus", ["--version"]).error && "prometheus";
const isSkipped = lacking !== undefined && !process.env.CI;
if (lacking !== undefined) console.warn(`test/monitoring: expected ${lacking}, found none`);

const recording = readRecording();
const dashboard = JSON.parse(readFileSync(join(root, "monitoring/dashboard.json"), "utf8"));
interface Target {
  readonly title: string;
  readonly expr: string;
}
const targets: Target[] = dashboard.panels.flatMap(({ title, targets = [] }: { title: string; targets?: Target[] }) =>
  targets.map(({ expr }) => ({ title, expr })),
);
/** What Grafana puts in place of the variables when All is chosen. */
const filled = (expr: string) =>
  expr.replaceAll(/\$(job|instance|installation)\b/g, ".*").replaceAll("$__rate_interval", "5m");

test.each(Object.entries(made()))("monitoring/%s is what is made of the other files", (name, text) => {
  expect(readFileSync(join(root, "monitoring", name), "utf8")).toBe(text);
});

test("panels do not overlap, and fill the width of the dashboard", () => {
  const taken = new Set<string>();
  for (const { gridPos } of dashboard.panels)
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        expect(taken).not.toContain(`${x} ${y}`);
        taken.add(`${x} ${y}`);
      }
  const height = Math.max(
    ...dashboard.panels.map(({ gridPos }: { gridPos: { y: number; h: number } }) => gridPos.y + gridPos.h),
  );
  expect(taken.size).toBe(24 * height);
});

describe.skipIf(isSkipped)("on a real Prometheus", () => {
  let prometheus: Prometheus;
  beforeAll(async () => {
    prometheus = await Prometheus.start(recording);
  });
  afterAll(async () => {
    await prometheus?.stop();
  });

  test("no expression of the dashboard is wrong or empty", async () => {
    expect(targets.length).toBeGreaterThan(30);
    for (const { title, expr } of targets) {
      const found = await prometheus.range(filled(expr));
      const points = found.flatMap(({ values }) => values).filter(([, value]) => Number.isFinite(Number(value)));
      expect({ title, expr, isEmpty: points.length === 0 }).toEqual({ title, expr, isEmpty: false });
    }
  });

  test("the variables list each host and installation of the recording", async () => {
    const values = async (name: string) => await prometheus.ask<string[]>(`label/${name}/values`);
    const hosts = Object.keys(recording.hosts);
    expect(await values("instance")).toEqual(hosts.map((host) => `${host}:9100`).sort());
    expect(await values("job")).toEqual(["node"]);
    for (const host of hosts.filter((host) => host !== "unsupported"))
      expect(await values("exported_instance")).toContain(host === "pool" ? host : `recorded-${host}`);
  });

  test("every rule is evaluated without an error, and the text of each alert is complete", async () => {
    interface Rule {
      readonly name: string;
      readonly health: string;
      readonly lastError?: string;
      readonly alerts?: { readonly annotations: Record<string, string> }[];
    }
    const rules = async () => {
      const { groups } = await prometheus.ask<{ groups: { rules: Rule[] }[] }>("rules");
      return groups.flatMap(({ rules }) => rules);
    };
    // The first evaluation comes within a minute.
    for (const end = Date.now() + 90_000; (await rules()).some(({ health }) => health === "unknown"); ) {
      expect(Date.now()).toBeLessThan(end);
      await new Promise((wake) => setTimeout(wake, 500));
    }
    const all = await rules();
    expect(all.map(({ health, lastError }) => lastError ?? health)).toEqual(all.map(() => "ok"));
    const texts = all.flatMap(({ alerts = [] }) => alerts.flatMap(({ annotations }) => Object.values(annotations)));
    expect(texts.length).toBeGreaterThan(10);
    for (const text of texts) expect(text).not.toMatch(/<no value>|<error|%!|\{\{|^ *(on|has)\b| {2}/);
  });
});
