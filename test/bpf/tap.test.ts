// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { temporaryFolder } from "../support/host.js";
import { call, slowness } from "../support/machine.js";
import { Datapath, isSkipped } from "./datapath.js";

interface Packet {
  readonly from: string;
  readonly to: string;
  readonly fromPort: number;
  readonly toPort: number;
  readonly sequence: number;
  readonly isSyn: boolean;
  readonly isInbound: boolean;
  readonly bytes: Buffer;
}

// test/host/script/tap.test.ts has the verb, and what tshark makes of its files.
describe.skipIf(isSkipped)("what redirect shows to a tap", () => {
  test.each(["ipv4", "ipv6", "mapped"])("is every byte of both directions, over %s", async (kind) => {
    const path = await Datapath.make();
    const talk = path.start("tap.talk", kind);
    const port = Number(await talk.ready());
    const tap = await start(path, port);
    talk.go();
    const hashes = (await talk.ready()).split(" ");
    talk.go();
    await talk.result();
    const packets = await tap();
    const address = kind === "ipv6" ? "0:0:0:0:0:0:0:1" : "127.0.0.1";
    expect([...new Set(packets.flatMap(({ from, to }) => [from, to]))]).toEqual([address]);
    const directions = [
      packets.filter(({ toPort }) => toPort === port),
      packets.filter(({ fromPort }) => fromPort === port),
    ];
    expect(directions.map((some) => createHash("sha256").update(joinBytes(some)).digest("hex"))).toEqual(hashes);
    expect(path.counters().tap_lost).toBe(0);
  });

  test("names both ends by their own addresses where one calls the other by an address of a service", async () => {
    const path = await Datapath.make();
    const tap = await start(path, 80);
    await path.play("paths.dnat");
    const packets = await tap();
    const pairs = new Set(
      packets.map(({ from, to, ...its }) => `${from} ${to} ${its.toPort === 7000} ${its.isInbound}`),
    );
    // No packet has the port of the service, which the client calls the server by.
    expect(pairs).toEqual(new Set(["10.77.0.1 10.78.0.2 true true", "10.78.0.2 10.77.0.1 false false"]));
    const [there, back] = [true, false].map((isThere) =>
      joinBytes(packets.filter(({ toPort }) => (toPort === 7000) === isThere)),
    );
    expect(there?.length).toBeGreaterThan(1000);
    expect(there).toEqual(back);
  });
});

/** Starts a tap, and gives a function that waits for its end and reads what it has written. */
async function start(path: Datapath, port: number): Promise<() => Promise<Packet[]>> {
  const { host } = path;
  const file = join(temporaryFolder(), "tap.pcapng");
  call("mkdir", "-p", join(file, ".."));
  const flags = ["--port", `${port}`, "--seconds", `${Math.ceil(4 * slowness)}`, "-w", file];
  const ended = host.raw("tap", ...host.common.slice(0, 4), ...flags);
  const knobs = join(host.pins, host.generation, "maps/knobs");
  await vi.waitFor(
    () =>
      expect(call("bpftool", "-j", "map", "lookup", "pinned", knobs, ..."key 6 0 0 0".split(" "))).not.toMatch(
        /"value":\["0x00"(,"0x00")*\]/,
      ),
    { timeout: 10_000 * slowness, interval: 50 },
  );
  return async () => {
    expect(await ended).toMatchObject({ code: 0, stdout: "", stderr: expect.stringContaining("; 0 messages missing") });
    return read(Buffer.from(call("base64", file), "base64"));
  };
}

/** The packets of a pcapng file. */
function read(file: Buffer): Packet[] {
  const packets: Packet[] = [];
  for (let at = 0; at < file.length; at += file.readUInt32LE(at + 4)) {
    if (file.readUInt32LE(at) !== 6) continue;
    const packet = file.subarray(at + 28, at + 28 + file.readUInt32LE(at + 20));
    const isSix = packet[0] === 0x60;
    // Its first option has the direction.
    const options = file.subarray(at + 28 + Math.ceil(packet.length / 4) * 4);
    expect(options.readUInt16LE(0)).toBe(2);
    const [address, size, tcp] = isSix ? [8, 16, packet.subarray(40)] : [12, 4, packet.subarray(20)];
    packets.push({
      from: nameAddress(packet.subarray(address, address + size)),
      to: nameAddress(packet.subarray(address + size, address + 2 * size)),
      fromPort: tcp.readUInt16BE(0),
      toPort: tcp.readUInt16BE(2),
      sequence: tcp.readUInt32BE(4),
      isInbound: (options.readUInt32LE(4) & 3) === 1,
      isSyn: (tcp.readUInt8(13) & 2) !== 0,
      bytes: tcp.subarray((tcp.readUInt8(12) >> 4) * 4),
    });
  }
  return packets;
}

function nameAddress(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join(".");
  return Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16)).join(":");
}

/** The bytes of a direction in the order of their numbers, without any between two packets. */
function joinBytes(packets: Packet[]): Buffer {
  const syn = packets.find(({ isSyn }) => isSyn);
  let next = ((syn?.sequence ?? Number.NaN) + 1) >>> 0;
  return Buffer.concat(
    packets
      .filter(({ isSyn }) => !isSyn)
      .map(({ sequence, bytes }) => {
        expect(sequence).toBe(next);
        next = (next + bytes.length) >>> 0;
        return bytes;
      }),
  );
}
