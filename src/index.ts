// SPDX-License-Identifier: Apache-2.0

export { type Bpf, CompileAt } from "./args/bpf";
export type { BypassArgs } from "./args/bypass";
export type { BypassHostArgs } from "./args/bypass-host";
export type { BypassNodePoolArgs } from "./args/bypass-node-pool";
export type { Connection, Login } from "./args/connection";
export { type Host, Machine } from "./args/host";
export type {
  MetricsReader,
  Monitoring,
  PodMonitor,
  PodResources,
  Toleration,
} from "./args/kubernetes";
export type { Limits } from "./args/limits";
export type { NodePool } from "./args/node-pool";
export type { Observe } from "./args/observe";
export type { Rollout } from "./args/rollout";
export type { SelfTest } from "./args/self-test";
export type { SocketBypassArgs } from "./args/socket-bypass";
export type { Traffic } from "./args/traffic";
export {
  type Advice,
  type AdvisedDanger,
  type AdvisedGain,
  type AdvisedRates,
  type AdvisedService,
  type AdvisedTraffic,
  GainSource,
  ServiceAdvice,
  ServiceKind,
} from "./commands/advice";
export { type SelfTestFacts, SelfTestOutcome, type SelfTestResult } from "./commands/self-test";
export { BypassHost } from "./components/bypass-host";
export { BypassNodePool } from "./components/bypass-node-pool";
export type { HostAddress, HostLogin, LoginAddress, NodePoolLogin } from "./components/host-login";
export { type HostReport, type NodePoolReport, SocketBypass } from "./components/socket-bypass";
