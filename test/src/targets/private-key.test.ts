// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { utils } from "ssh2";
import { afterAll, describe, expect, test } from "vitest";
import { asClientReads, asStateHolds } from "../../../src/targets/private-key";
import { lookBySsh } from "../../../src/targets/ssh-look";
import { answer, encrypted, serve } from "./server";

const pairs = {
  "ssh-ed25519": generateKeyPairSync("ed25519"),
  "ssh-rsa": generateKeyPairSync("rsa", { modulusLength: 2048 }),
  "ecdsa-sha2-nistp256": generateKeyPairSync("ec", { namedCurve: "P-256" }),
  "ecdsa-sha2-nistp521": generateKeyPairSync("ec", { namedCurve: "P-521" }),
};

describe.each(Object.entries(pairs))("a private key of type %s in PKCS#8", (type, { privateKey, publicKey }) => {
  const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();

  test("becomes the same key in a form that our client reads", () => {
    expect(utils.parseKey(pem)).toBeInstanceOf(Error);
    const read = utils.parseKey(asClientReads(pem));
    if (read instanceof Error) throw read;
    expect([read.type, read.isPrivateKey()]).toEqual([type, true]);
    const given = publicKey.export({ type: "spki", format: "pem" });
    const theirs = read.getPublicPEM().replace(/-----.*-----|\s/g, "");
    expect(theirs).toBe(`${given}`.replace(/-----.*-----|\s/g, ""));
  });

  test("logs in", async () => {
    expect(await lookBySsh({ ...(await serve(answer("x"))), privateKey: pem }, "line")).toBe("x");
  });
});

test("text around a key, blanks at line ends and encryption do not change it", () => {
  const read = asClientReads(`of ops:\n\n${encrypted.replace(/\n/g, " \r\n")}\nend\n`);
  expect(read.replace(/\r/g, "").trim()).toBe(encrypted.trim());
  expect(utils.parseKey(read, "x")).not.toBeInstanceOf(Error);
});

test("the error about an invalid key shows nothing of it", async () => {
  const wrong = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0LWJ5dGVz\n-----END PRIVATE KEY-----\n";
  const failed = lookBySsh({ ...(await serve(answer("x"))), privateKey: wrong }, "line").then(
    () => expect.fail("expected a failure, and it was let in"),
    (error: Error) => error.message,
  );
  expect(await failed).toMatch(/^cannot be asked: /);
  expect(await failed).not.toMatch(/c2Vj|secret/);
});

describe("a key of OpenSSH", () => {
  const folder = fs.mkdtempSync(join(tmpdir(), "socket-bypass-keys-"));
  afterAll(() => fs.rmSync(folder, { recursive: true }));
  const make = (type: string, password = "", comment = "c") => {
    const file = join(folder, `${type}-${password}-${comment.length}`);
    execFileSync("ssh-keygen", ["-q", "-t", type, "-N", password, "-C", comment, "-f", file]);
    return fs.readFileSync(file, "utf8");
  };
  const publicOf = (pem: string) => {
    const read = utils.parseKey(asClientReads(pem));
    if (read instanceof Error) throw read;
    return read.getPublicSSH().toString("base64");
  };

  test.each(["", "ops@example", "a comment of many words"])(
    "of ed25519 with the comment %j is kept as the same key in 119 bytes",
    (comment) => {
      const pem = make("ed25519", "", comment);
      const short = asStateHolds(pem);
      expect(short).toMatch(/^-----BEGIN PRIVATE KEY-----\n[\w+/]{64}\n-----END PRIVATE KEY-----\n$/);
      expect(publicOf(short)).toBe(publicOf(pem));
      expect(asStateHolds(`of ops:\n${pem.replace(/\n/g, "\r\n")}\nend\n`)).toBe(short);
      expect(asStateHolds(short)).toBe(short);
    },
  );

  test("of another type, with a password, truncated, or after another key stays as it is", () => {
    const short = make("ed25519", "", "cut").replace(/(\n[^\n]+){3}\n(?=-----END)/, "\n");
    const second = `${make("rsa", "", "first of two")}${make("ed25519", "", "second of two")}`;
    for (const pem of [make("rsa"), make("ecdsa"), make("ed25519", "secret"), short, second, "no key"])
      expect(asStateHolds(pem)).toBe(pem);
  });
});
