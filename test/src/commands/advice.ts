// SPDX-License-Identifier: Apache-2.0
import type { AdvisedService } from "../../../src/commands/advice";

const rates = { inbound: 5200, outbound: 5200 };

/** A service as `advise --json` prints one. */
export function service(more: Partial<AdvisedService> = {}) {
  return {
    ...{ port: 6379, program: "redis-server", clients: ["app"], connections: 12, onHost: 12, shortConnections: null },
    ...{ perSecond: rates, bytesPerMessage: { inbound: 34.1, outbound: 5.2 }, bytesPerSecond: rates, kind: "request" },
    ...{ dangers: [], gain: { low: 1.2, high: 1.6 }, advice: "include", reason: "requests of 34 bytes" },
    ...more,
  };
}

/** What `advise --json` prints. */
export function advice(services: object[] = [service()], more: object = {}) {
  return {
    ...{ version: 1, seconds: 30, kernel: "6.1.0", machine: "x86_64", gainFrom: "bench", namespaces: 1, sockets: 26 },
    ...{ services, traffic: { ports: [6379] }, unseen: null },
    ...more,
  };
}
