// SPDX-License-Identifier: Apache-2.0
// What the pages assume to be there when they show a part of a program.
import type * as kubernetesPackage from "@pulumi/kubernetes";
import type * as pulumiPackage from "@pulumi/pulumi";
import type * as vitest from "vitest";
import type * as socketBypass from "../../src/index";

declare global {
  const pulumi: typeof pulumiPackage;
  const kubernetes: typeof kubernetesPackage;
  const SocketBypass: typeof socketBypass.SocketBypass;
  type SocketBypass = socketBypass.SocketBypass;
  const BypassHost: typeof socketBypass.BypassHost;
  type BypassHost = socketBypass.BypassHost;
  const BypassNodePool: typeof socketBypass.BypassNodePool;

  type Mocks = pulumiPackage.runtime.Mocks;
  const expect: typeof vitest.expect;

  const advice: socketBypass.Advice;
  const privateKey: pulumiPackage.Output<string>;
  const hostKey: string;
  const web2Key: string;
  const bastionKey: string;
  const web2: { readonly privateIp: pulumiPackage.Output<string> };
  const vm: pulumiPackage.CustomResource & { readonly privateIp: pulumiPackage.Output<string> };
  const connection: { readonly host: string; readonly privateKey: string; readonly hostKey: string };
  const hosts: Record<string, { readonly connection: typeof connection }>;
  const traffic: { readonly ports: number[] };
  const cluster: kubernetesPackage.Provider;
  const a: SocketBypass;
  const b: SocketBypass;
  const c: BypassHost;
}
