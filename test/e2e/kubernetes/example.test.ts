// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { Example } from "../../support/example.js";

interface Step {
  readonly op: string;
  readonly newState: { readonly type: string; readonly inputs?: Record<string, unknown> };
}

// This does not prove that its program installs; node-pool.test.ts does that with the same
// arguments.
test("examples/node-pool plans the pool of its configuration, without a cluster", () => {
  const example = new Example("node-pool");
  example.set("image", "registry.example.com/socket-bypass:1");
  example.set("nodeSelector", '{"pool":"web"}');
  example.set("ports", '["6379","8000-8999"]');
  const steps = example.plan<Step>();
  const objects = steps.filter(({ newState }) => newState.type.startsWith("kubernetes:"));
  expect(objects.map(({ op, newState }) => [op, newState.type.split(":").at(-1)]).sort()).toEqual([
    ["create", "ConfigMap"],
    ["create", "DaemonSet"],
    ["create", "Namespace"],
    ["create", "NetworkPolicy"],
    ["create", "ServiceAccount"],
  ]);
  const daemonSet = objects.find(({ newState }) => newState.type.endsWith("DaemonSet"));
  expect(daemonSet?.newState.inputs).toMatchObject({
    spec: {
      template: {
        spec: {
          nodeSelector: { pool: "web" },
          containers: [
            {
              image: "registry.example.com/socket-bypass:1",
              args: expect.arrayContaining(["--ports", "6379,8000-8999", "--enabled", "true"]),
            },
          ],
        },
      },
    },
  });
  example.expectClean();
});
