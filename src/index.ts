// SPDX-License-Identifier: Apache-2.0
export type { BypassArgs } from "./args/bypass";
export type { BypassHostArgs } from "./args/bypass-host";
export type { BypassNodePoolArgs } from "./args/bypass-node-pool";
export type { ConnectionArgs, LoginArgs } from "./args/connection";
export { type HostArgs, Machine } from "./args/host";
export type {
  MetricsReaderArgs,
  MonitoringArgs,
  PodMonitorArgs,
  PodResourceArgs,
  TolerationArgs,
} from "./args/kubernetes";
export type { LimitArgs } from "./args/limits";
export type { NodePoolArgs } from "./args/node-pool";
export { CompileAt, type ObjectArgs } from "./args/object";
export type { ObserveArgs } from "./args/observe";
export type { RolloutArgs } from "./args/rollout";
export type { SelfTestArgs } from "./args/self-test";
export type { SocketBypassArgs } from "./args/socket-bypass";
export type { TrafficArgs } from "./args/traffic";
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
export { BypassHost } from "./components/bypass-host";
export { BypassNodePool } from "./components/bypass-node-pool";
export type { HostAddress, HostLogin, LoginAddress } from "./components/host-login";
export { type HostReport, type NodePoolReport, SocketBypass } from "./components/socket-bypass";
