// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Cluster, lacking } from "./cluster/cluster.js";
import { Pool } from "./pool.js";

/*
 * How Prometheus finds the pods. The definition of PodMonitor has only the fields that we set, with
 * the types of prometheus-operator 0.91; the API server drops or refuses all others. Not proven
 * here: that the operator makes a scrape of it. Each test continues where the previous one ended.
 */
vi.setConfig({ testTimeout: 400_000 });
const isSkipped = lacking !== undefined && !process.env.CI;

const text = { type: "string" };
const object = (properties: object, ...required: string[]) => ({ type: "object", properties, required });
const duration = "^[0-9]+(s|m)$";
const relabeling = object({
  sourceLabels: { type: "array", items: { ...text, pattern: "^[a-zA-Z_][a-zA-Z0-9_]*$" } },
  targetLabel: text,
  action: { ...text, enum: ["replace", "keep", "drop"], default: "replace" },
});
const endpoint = object({
  ...{ port: text, path: text, interval: { ...text, pattern: duration } },
  relabelings: { type: "array", items: relabeling },
});
const spec = object(
  {
    selector: object({ matchLabels: { type: "object", additionalProperties: text } }),
    podMetricsEndpoints: { type: "array", items: endpoint },
  },
  "selector",
);
const definition = {
  ...{ apiVersion: "apiextensions.k8s.io/v1", kind: "CustomResourceDefinition" },
  metadata: { name: "podmonitors.monitoring.coreos.com" },
  spec: {
    ...{ group: "monitoring.coreos.com", scope: "Namespaced" },
    names: { kind: "PodMonitor", plural: "podmonitors", singular: "podmonitor", listKind: "PodMonitorList" },
    versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema: object({ spec }, "spec") } }],
  },
};

describe.skipIf(isSkipped)("monitoring of a pool", () => {
  let cluster: Cluster;
  let pool: Pool;
  const metricsFrom = [{ namespaceLabels: { "kubernetes.io/metadata.name": "monitoring" } }];
  const monitors = async () => JSON.parse(await cluster.kubectl("get", "podmonitors", "-A", "-o", "json")).items;

  beforeAll(async () => {
    cluster = await Cluster.make({ nodes: 1 });
    pool = new Pool(cluster);
    pool.pool = { metricsFrom, monitoring: { podMonitor: { labels: { release: "prometheus" } } } };
  });

  afterAll(async () => {
    await pool?.end();
    await cluster?.down();
  });

  test("in a cluster that does not know PodMonitors, up names the missing kind", async () => {
    // docs/how-to/troubleshoot-pool.md quotes these words and says what to do.
    expect(await pool.failure(pool.up())).toContain(
      'no matches for kind "PodMonitor" in version "monitoring.coreos.com/v1"',
    );
  });

  test("a preview shows the PodMonitor, and up creates it as it was sent", async () => {
    await cluster.apply(definition);
    await cluster.kubectl("wait", "crd", "podmonitors.monitoring.coreos.com", "--for=condition=Established");
    expect((await pool.preview()).changes).toEqual({ PodMonitor: "create" });
    expect((await pool.up()).changes).toEqual({ PodMonitor: "create" });
    const [monitor, ...others] = await monitors();
    expect(others).toEqual([]);
    const { namespace, daemonSet } = await pool.outputs();
    const { spec: pods } = JSON.parse(
      await cluster.kubectl("-n", namespace, "get", "daemonset", daemonSet, "-o", "json"),
    );
    expect(monitor.metadata).toMatchObject({ namespace, labels: { release: "prometheus" } });
    const node = { sourceLabels: ["__meta_kubernetes_pod_node_name"], action: "replace" };
    expect(monitor.spec).toEqual({
      selector: { matchLabels: pods.selector.matchLabels },
      podMetricsEndpoints: [
        {
          ...{ port: pods.template.spec.containers[0].ports[0].name, path: "/metrics", interval: "30s" },
          relabelings: [
            { ...node, targetLabel: "node" },
            { ...node, targetLabel: "instance" },
          ],
        },
      ],
    });
  });

  test("annotations in its place change the pods and remove the PodMonitor", async () => {
    pool.pool = { metricsFrom, monitoring: { annotations: true } };
    expect((await pool.up()).changes).toEqual({ DaemonSet: "update", PodMonitor: "delete" });
    expect(await monitors()).toEqual([]);
    const label = "app.kubernetes.io/name=socket-bypass";
    const { items } = JSON.parse(await cluster.kubectl("get", "pods", "-A", "-l", label, "-o", "json"));
    const running = items.filter(
      ({ metadata }: { metadata: { deletionTimestamp?: string } }) => !metadata.deletionTimestamp,
    );
    expect(running).toHaveLength(1);
    expect(running[0].metadata.annotations).toMatchObject({
      "prometheus.io/scrape": "true",
      "prometheus.io/port": `${running[0].spec.containers[0].ports[0].containerPort}`,
      "prometheus.io/path": "/metrics",
    });
  });
});
