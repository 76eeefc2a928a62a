// SPDX-License-Identifier: Apache-2.0
import * as pulumi from "@pulumi/pulumi";
import { type BypassHostArgs, bypassHostSchema } from "../args/bypass-host";
import { checkNow, type Where } from "../args/validation/check";
import { when } from "../args/validation/right";
import type { Advice } from "../commands/advice";
import type { SelfTestResult } from "../commands/self-test";
import { normalizeBypass } from "../install/normalize";
import { adviceFor } from "../install/observation";
import { hostType, installHost, outputsOfHost } from "./host";
import { warnOfUnknownKeys } from "./host-key-warning";
import type { HostLogin } from "./host-login";
import { sayNothingLoads } from "./nothing-loads";
import { checkThisMachine } from "./this-machine";

/**
 * One host whose TCP connections between its own sockets skip the TCP/IP stack. Use one for each VM
 * where `deletedWith` matters.
 */
export class BypassHost extends pulumi.ComponentResource {
  /**
   * Names what is installed, by 12 hexadecimal digits such as "0f3a9c1b27de". They change with the
   * programs and with the size of their maps. Empty if it is only observed.
   */
  public readonly generation: pulumi.Output<string>;
  /**
   * What the self-test found: kernel, messages redirected, and how this kernel behaves. Absent if
   * it is only observed.
   */
  public readonly selfTest?: pulumi.Output<SelfTestResult>;
  /**
   * How to reach the host: address, port and user, but no key or password. A secret, as connections
   * are. A program that exports `socketBypass = { web: host.login }` lets `npx socket-bypass status
   * --stack NAME` find it.
   */
  public readonly login: pulumi.Output<HostLogin>;
  /**
   * Which of its connections would gain, and which programs would be harmed. Absent without
   * `observe`.
   */
  public readonly advice?: pulumi.Output<Advice>;

  constructor(name: string, args: BypassHostArgs, opts: pulumi.ComponentResourceOptions = {}) {
    // The SDK would keep the arguments in the state, in plain text.
    super(hostType, name, {}, opts);
    const where: Where = { resource: this, what: `BypassHost "${name}"`, path: [] };
    checkNow(bypassHostSchema, args, where);
    checkThisMachine([[[], args]], where);
    warnOfUnknownKeys({ [name]: args }, this);
    const shared = normalizeBypass(args, where);
    if (!shared.hasTraffic) sayNothingLoads([name], this);
    const done = installHost({ component: this, name, key: [name], where, shared, opts }, args);
    const outputs = outputsOfHost(done);
    this.generation = outputs.generation;
    // Not registered: the state need not hold what only a program that exports it asks for, nor
    // what its step holds.
    this.login = done.login;
    if (done.installed !== undefined)
      this.selfTest = when(done.shown, done.installed.selfTest) as pulumi.Output<SelfTestResult>;
    if (done.observed !== undefined) this.advice = when(done.shown, adviceFor(done.observed)) as pulumi.Output<Advice>;
    this.registerOutputs(outputs);
  }
}
