// SPDX-License-Identifier: Apache-2.0
// Lists every metric of `socket-bypass metrics`, from the tables and the text of the host script.
import * as fs from "node:fs";
import { join } from "node:path";
import { rowsOf } from "./host-script";
import { table } from "./markdown";

export interface Metric {
  /** The name of its samples. */
  readonly name: string;
  readonly type: string;
  readonly help: string;
}

export function readMetrics(root: string): readonly Metric[] {
  const text = fs.readFileSync(join(root, "host/script/verbs/metrics.sh"), "utf8");
  const families = [...text.matchAll(/^\t+family\("(\w+)", "(\w+)", "([^"]*)"\)$/gm)];
  if (families.length === 0) throw new Error("host/script/verbs/metrics.sh: expected families, found none");
  const counters = rowsOf(root, "lib/counters.sh", "counter_table");
  return [
    ...families.map(([, name = "", type = "", help = ""]) => ({ name, type, help })),
    ...rowsOf(root, "lib/port-counters.sh", "port_table").map(([name = "", type = "", help = ""]) => ({
      name,
      type,
      help,
    })),
    ...counters.map(([name = "", help = ""]) => ({ name: `${name}_total`, type: "counter", help })),
  ];
}

export function metricsText(metrics: readonly Metric[]): string {
  const rows = metrics.map(({ name, type, help }) => [`\`socket_bypass_${name}\``, type, help]);
  return table(["metric", "type", "what it says"], rows);
}
