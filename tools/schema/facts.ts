// SPDX-License-Identifier: Apache-2.0

/*
 * What the schema says and TypeScript's types cannot. A property is "Owner.property", where the
 * owner is the interface that declares it, or the class for an output.
 */

/** Properties that are encrypted in the state and never shown. */
export const secrets: readonly string[] = [
  ...["Login.password", "Login.privateKey", "Login.privateKeyPassword"],
  ...["SocketBypass.logins", "BypassHost.login", "BypassNodePool.login"],
];

/** The numbers that may have a fraction; every other one is an integer. */
export const fractions: readonly string[] = [
  ...["Advice.seconds", "AdvisedRates.inbound", "AdvisedRates.outbound", "AdvisedGain.low", "AdvisedGain.high"],
];
