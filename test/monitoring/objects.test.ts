// SPDX-License-Identifier: Apache-2.0
/*
 * The rules as an object of prometheus-operator: only fields of its definition (of version 0.76), with
 * their types. Not proven here: that a cluster takes it. test/e2e/kubernetes/monitoring.test.ts has
 * an API server check the PodMonitor of a pool.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { root } from "../support/host.js";

const duration = z.string().regex(/^(?=\d)(\d+y)?(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?$/);
const texts = z.record(z.string(), z.string());
const expr = z.union([z.string().min(1), z.int()]);
const rule = z.union([
  z.strictObject({ record: z.string().min(1), expr, labels: texts.optional() }),
  z.strictObject({
    ...{ alert: z.string().min(1), expr, labels: texts.optional(), annotations: texts.optional() },
    ...{ for: duration.optional(), keep_firing_for: duration.optional() },
  }),
]);
const group = z.strictObject({
  name: z.string().min(1),
  ...{ interval: duration.optional(), limit: z.int().optional() },
  rules: z.array(rule).min(1),
});
const prometheusRule = z.strictObject({
  apiVersion: z.literal("monitoring.coreos.com/v1"),
  kind: z.literal("PrometheusRule"),
  metadata: z.strictObject({
    name: z.string().regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/),
    labels: texts.optional(),
  }),
  spec: z.strictObject({ groups: z.array(group).min(1) }),
});

const object = parse(readFileSync(join(root, "monitoring/prometheus-rule.yaml"), "utf8"));

test("prometheus-rule.yaml has what the definition of PrometheusRule asks for, and nothing else", () => {
  expect(prometheusRule.safeParse(object).error?.issues ?? []).toEqual([]);
  // The definition makes a map of the groups, by name.
  const names = object.spec.groups.map(({ name }: { name: string }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names.length).toBeGreaterThan(1);
});

test.each<readonly [string, (rule: Record<string, unknown>) => void]>([
  ["a rule without an expression", (one) => delete one.expr],
  ["a duration without a unit", (one) => Object.assign(one, { for: "5" })],
  ["a label that is no text", (one) => Object.assign(one, { labels: { severity: 1 } })],
  ["a field that the definition does not have", (one) => Object.assign(one, { forEach: "5m" })],
])("%s would be found", (_, spoil) => {
  const spoilt = structuredClone(object);
  spoil(spoilt.spec.groups.at(-1).rules[0]);
  expect(prometheusRule.safeParse(spoilt).success).toBe(false);
});
