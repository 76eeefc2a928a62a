// SPDX-License-Identifier: Apache-2.0
import { createPrivateKey, type KeyObject } from "node:crypto";

/**
 * Turns a private key into a form that our SSH client reads. The provider also reads PKCS#8, which
 * is what `openssl genpkey` writes, and other text before and after the key.
 */
export function asClientReads(text: string): string {
  const [pem = text, type] = /-----BEGIN ([A-Z ]*)PRIVATE KEY-----[\s\S]*?-----END \1PRIVATE KEY-----/.exec(text) ?? [];
  if (type !== "") return pem.replace(/[ \t]+$/gm, "");
  const key = createPrivateKey(pem);
  if (key.asymmetricKeyType === "ed25519") return asOpenSsh(key);
  return key.export({ type: key.asymmetricKeyType === "ec" ? "sec1" : "pkcs1", format: "pem" }).toString();
}

/**
 * Writes the key in the fewest bytes that the provider reads, because the state holds it sixteen
 * times for each host: an ed25519 key has 411 bytes as `ssh-keygen` writes it and 119 as PKCS#8.
 * Text that is not an ed25519 key of OpenSSH, and a key with a password, stays as it is.
 */
export function asStateHolds(text: string): string {
  // Of several keys the provider takes the first.
  const body = /^(?:(?!-----BEGIN )[\s\S])*-----BEGIN OPENSSH PRIVATE KEY-----([\s\S]*?)-----END/.exec(text)?.[1];
  if (body === undefined) return text;
  const whole = Buffer.from(body, "base64");
  const head = Buffer.concat([
    ...[Buffer.from("openssh-key-v1\0"), asString("none"), asString("none"), asString(""), asNumber(1)],
    ...[asNumber(51), asString("ssh-ed25519"), asNumber(32)],
  ]);
  if (!whole.subarray(0, head.length).equals(head)) return text;
  const point = whole.subarray(head.length, head.length + 32);
  // After the public key come a length, two equal numbers, the public key again, and a string of 64
  // bytes: the seed and the public key.
  const secret = Buffer.concat([asString("ssh-ed25519"), asString(point), asNumber(64)]);
  const start = head.length + 32 + 4 + 8;
  const seed = whole.subarray(start + secret.length, start + secret.length + 32);
  if (!whole.subarray(start, start + secret.length).equals(secret) || seed.length !== 32) return text;
  const [d, x] = [seed.toString("base64url"), point.toString("base64url")];
  try {
    const key = createPrivateKey({ format: "jwk", key: { kty: "OKP", crv: "Ed25519", d, x } });
    return key.export({ type: "pkcs8", format: "pem" }).toString();
  } catch {
    // An OpenSSL without ed25519 (FIPS) must not make this fail: it is the provider that logs in
    // with the key.
    return text;
  }
}

/**
 * Writes the key as OpenSSH's PROTOCOL.key describes it, without a password: the only form of an
 * ed25519 key that ssh2 reads.
 */
function asOpenSsh(key: KeyObject): string {
  const { d = "", x = "" } = key.export({ format: "jwk" });
  const [seed, point] = [Buffer.from(d, "base64url"), Buffer.from(x, "base64url")];
  const publicKey = Buffer.concat([asString("ssh-ed25519"), asString(point)]);
  // A reader takes two equal numbers as proof that the password was right.
  const numbers = Buffer.alloc(8);
  const secret = [numbers, publicKey, asString(Buffer.concat([seed, point])), asString("")];
  const length = secret.reduce((sum, part) => sum + part.length, 0);
  const padding = Buffer.from([1, 2, 3, 4, 5, 6, 7].slice(0, -length & 7));
  const whole = Buffer.concat([
    ...[Buffer.from("openssh-key-v1\0"), asString("none"), asString("none"), asString(""), asNumber(1)],
    ...[asString(publicKey), asString(Buffer.concat([...secret, padding]))],
  ]);
  const lines = whole.toString("base64").match(/.{1,70}/g) ?? [];
  return ["-----BEGIN OPENSSH PRIVATE KEY-----", ...lines, "-----END OPENSSH PRIVATE KEY-----", ""].join("\n");
}

function asNumber(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function asString(value: string | Buffer): Buffer {
  return Buffer.concat([asNumber(value.length), Buffer.from(value as string)]);
}
