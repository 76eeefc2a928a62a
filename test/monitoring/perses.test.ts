// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { type GrafanaDashboard, toPerses } from "../../tools/monitoring/perses-dashboard.js";

const file = resolve(__dirname, "../../monitoring/dashboard.json");
const dashboard: GrafanaDashboard = JSON.parse(readFileSync(file, "utf8"));

// Not proven here: that Perses draws it. tools/monitoring/perses.ts shows it in a real one.
test("every panel, query and variable of the dashboard is in that for Perses", () => {
  const { spec } = toPerses(dashboard, "docs", "http://127.0.0.1:9090");
  const text = JSON.stringify(spec);
  const panels = dashboard.panels.filter(({ type }) => type !== "row");
  expect(Object.keys(spec.panels)).toHaveLength(panels.length);
  expect(spec.layouts.flatMap((layout) => layout.spec.items)).toHaveLength(panels.length);
  const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
  expect(queries.length).toBeGreaterThan(panels.length);
  for (const query of queries) expect(text).toContain(JSON.stringify(query));
  expect(spec.variables).toHaveLength(3);
  expect(() => toPerses({ ...dashboard, panels: [{ ...panels[0], type: "news" } as never] }, "a", "b")).toThrow(
    "expected a known panel, found news",
  );
});
