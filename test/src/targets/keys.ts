// SPDX-License-Identifier: Apache-2.0

/** A public key whose private key nobody has. */
export const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFi8t0GHTwTPx0mVxdHbbTGmKzG6cOl8m1Co8xqKyQ4K";
