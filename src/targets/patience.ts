// SPDX-License-Identifier: Apache-2.0

/**
 * By which each bound of a wait for a machine is multiplied. Internal: tests give less, and those
 * with machines on an emulated processor more.
 */
export const patience = Number(process.env.SOCKET_BYPASS_LOOK_PATIENCE ?? 1);
