// SPDX-License-Identifier: Apache-2.0
/*
 * Runs the alerts over what real installations have reported (record.ts). Each host is one
 * situation. Every series is as it was recorded; only the second half of the last test's hour and a
 * half is made up, in which nothing changes any more.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { expand, readRecording, type Series, seriesOf } from "../../tools/monitoring/recording.js";
import { root } from "../support/host.js";

const lacking = spawnSync("promtool", ["--version"]).error && "promtool";
const isSkipped = lacking !== undefined && !process.env.CI;
if (lacking !== undefined) console.warn(`test/monitoring: expected ${lacking}, found none`);

const rules = join(root, "monitoring/rules.yaml");
const text = readFileSync(rules, "utf8");
const alerts = [...text.matchAll(/- alert: (\w+)/g)].map(([, name = ""]) => name);
const recording = readRecording();
/** The recorder changes something on each host before this scrape; scrapes are a minute apart. */
const turn = 15;
const last = recording.scrapes - 1;

const folder = mkdtempSync(join(tmpdir(), "socket-bypass-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

const all = Object.keys(recording.hosts).flatMap((host) => [...seriesOf(recording, host)]);

/** Asks promtool which alerts fire where, some minutes after the first scrape. */
function firing(series: readonly Series[], minute: number): Record<string, string[]> {
  const file = join(folder, "test.json");
  const tests = {
    rule_files: [rules],
    evaluation_interval: "1m",
    tests: [
      {
        interval: "1m",
        input_series: series.map(({ name, labels, values }) => ({ series: `${name}{${labels}}`, values })),
        promql_expr_test: [
          {
            expr: 'count by (alertname, instance) (ALERTS{alertstate="firing"})',
            eval_time: `${minute}m`,
            // Nothing is ever -1, so promtool always says what it got.
            exp_samples: [{ labels: "{}", value: -1 }],
          },
        ],
      },
    ],
  };
  writeFileSync(file, JSON.stringify(tests));
  const { stdout, stderr } = spawnSync("promtool", ["test", "rules", file], { encoding: "utf8" });
  const got = /\bgot:(.*)$/s.exec(stdout + stderr)?.[1];
  if (got === undefined) throw new Error(`promtool: expected what it got, found: ${stdout}${stderr}`);
  const found: Record<string, string[]> = {};
  for (const [, alert = "", host = ""] of got.matchAll(/alertname="(\w+)", instance="([\w.-]+):9100"/g))
    found[alert] = [...(found[alert] ?? []), host].sort();
  return found;
}

/** The same series, with the last value of each held for as long again. */
const held = (all: readonly Series[], minutes: number): Series[] =>
  all.map((series) => {
    const end = expand(series.values).at(-1);
    return { ...series, values: `${series.values} ${end ?? "_"}x${minutes - 1}` };
  });

test("the recording has every metric and label of the reference, and no other", () => {
  const page = readFileSync(join(root, "docs/reference/metrics.md"), "utf8");
  const metrics = [...page.matchAll(/^\| `(socket_bypass_\w+)` \| (gauge|counter|info) \|/gm)].map(([, name]) => name);
  const rows = page.slice(page.indexOf("| label | on | value |")).split("\n\n")[0] ?? "";
  const labels = [...rows.matchAll(/^\| ([^|]*) \|/gm)].flatMap(([, cell = ""]) =>
    [...cell.matchAll(/`(\w+)`/g)].map(([, label]) => label),
  );
  const names = all.map(({ name }) => name).filter((name) => name.startsWith("socket_bypass_"));
  expect([...new Set(names)].sort()).toEqual([...metrics, "socket_bypass_supported"].sort());
  const used = all
    .filter(({ name }) => name.startsWith("socket_bypass_"))
    .flatMap(({ labels }) => [...labels.matchAll(/(\w+)="/g)].map(([, label]) => label));
  // A scraper adds `job` and `instance`, and gives ours another name.
  const expected = [...labels, "job", "exported_instance"];
  expect([...new Set(used)].sort()).toEqual(expected.sort());
});

describe.skipIf(isSkipped)("the alerts", () => {
  test("are rules that promtool accepts, each with its page", () => {
    expect(execFileSync("promtool", ["check", "rules", rules], { encoding: "utf8" })).toContain("SUCCESS");
    expect(alerts.length).toBeGreaterThan(10);
    const page = readFileSync(join(root, "docs/reference/alerts.md"), "utf8");
    const headings = [...page.matchAll(/^## (SocketBypass\w+)$/gm)].map(([, name]) => name);
    expect(headings).toEqual(alerts);
    const links = [...text.matchAll(/runbook_url: (.*)$/gm)].map(([, link]) => link);
    expect(links).toEqual(alerts.map((name) => `docs/reference/alerts.md#${name.toLowerCase()}`));
  });

  test("before anything is changed on the hosts, fire only for what was wrong from the start", () => {
    expect(firing(all, turn - 1)).toEqual({ SocketBypassRefusedBusy: ["busy"] });
  });

  test("fire on the hosts that they are for, and on no other", () => {
    const { SocketBypassSpliceGuardMissing, ...others } = firing(all, last);
    // These are gone, or never had metrics; the others are on a kernel without a method, or off.
    const without = ["guarded", "unsupported", "down", "removed", "broken"];
    expect(SocketBypassSpliceGuardMissing).toEqual(
      Object.keys(recording.hosts)
        .filter((host) => !without.includes(host))
        .sort(),
    );
    expect(others).toEqual({
      SocketBypassUnhealthy: ["broken", "drained", "lost"],
      SocketBypassTargetDown: ["down"],
      SocketBypassMetricsStale: ["stale"],
      SocketBypassMetricsMissing: ["removed"],
      SocketBypassUnsupported: ["unsupported"],
      SocketBypassNothingBypassed: ["doubtful", "shared"],
      SocketBypassNotEnrolled: ["busy", "crowded", "deferred"],
      SocketBypassRefusedOther: ["pool", "refused"],
      SocketBypassDoubtfulReaders: ["doubtful"],
      SocketBypassDeferredAccept: ["deferred"],
      SocketBypassRefusedFull: ["crowded"],
      SocketBypassNearlyFull: ["crowded"],
      SocketBypassRefusedBusy: ["busy"],
      SocketBypassRedirectFailed: ["failing"],
    });
  });

  test("tell of a drain after an hour, and forget what is over", () => {
    const { SocketBypassSpliceGuardMissing: _, ...others } = firing(held(all, 90), last + 90);
    expect(others).toEqual({
      SocketBypassUnhealthy: ["broken", "drained", "lost"],
      SocketBypassTargetDown: ["down"],
      SocketBypassMetricsStale: ["stale"],
      SocketBypassUnsupported: ["unsupported"],
      SocketBypassNotEnrolled: ["busy", "crowded", "deferred"],
      SocketBypassNearlyFull: ["crowded"],
      SocketBypassDrained: ["drained", "off"],
    });
  });

  test("each fire somewhere in these tests", () => {
    const seen = new Set([turn - 1, last].flatMap((minute) => Object.keys(firing(all, minute))));
    for (const name of Object.keys(firing(held(all, 90), last + 90))) seen.add(name);
    expect([...seen].sort()).toEqual([...alerts].sort());
  });
});
