// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { makeDashboard } from "./dashboard";

/** The files in monitoring/ that are made of others, by name. */
export function made(): Record<string, string> {
  const rules = readFileSync(resolve(__dirname, "../../monitoring/rules.yaml"), "utf8");
  return {
    "dashboard.json": `${JSON.stringify(makeDashboard(), null, 2)}\n`,
    "prometheus-rule.yaml": prometheusRule(rules),
  };
}

/** The rules as an object for prometheus-operator. */
function prometheusRule(rules: string): string {
  const body = rules.slice(rules.indexOf("groups:"));
  const inner = body.replace(/^(?=.)/gm, "  ");
  return `# SPDX-License-Identifier: Apache-2.0
#
# rules.yaml for prometheus-operator, by tools/monitoring/main.ts. Your Prometheus may select rules by
# a label (spec.ruleSelector); add it here.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: socket-bypass
spec:
${inner}`;
}
