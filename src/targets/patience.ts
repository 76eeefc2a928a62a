// SPDX-License-Identifier: Apache-2.0

/**
 * The factor of each bound of a wait for a machine. It is internal: tests lower it, and tests with
 * machines on an emulated processor raise it.
 */
export const patience = Number(process.env.SOCKET_BYPASS_LOOK_PATIENCE ?? 1);
