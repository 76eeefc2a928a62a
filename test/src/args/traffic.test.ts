// SPDX-License-Identifier: Apache-2.0
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isTaken, problemsOfOne } from "./report";

const port = fc.integer({ min: 1, max: 65535 });

describe("ports", () => {
  const expected = 'a port or a range from 1 to 65535, such as 6379 or "8000-8999"';
  const fix = "write a port as a number and a range in quotes, digits only, the lower port first";

  test.each([
    "0",
    "65536",
    "99999",
    "100000",
    "9000-8000",
    "0-10",
    "1-65536",
    "1-2-3",
    "-",
    "-80",
    "80-",
    "080",
    "+80",
    "8e1",
    "0x50",
    " 80",
    "80 ",
    "80\n",
    "80,81",
    "8000 - 8999",
    "8000–8999",
    "http",
    "*",
    "",
    "٨٠",
  ])("refuses %j and says where it is, what is expected and how to fix it", (bad) => {
    expect(problemsOfOne({ traffic: { ports: ["22", bad] } })).toEqual([
      `traffic.ports[1]: ${expected}, ${JSON.stringify(bad)}; ${fix}`,
    ]);
  });

  test.each([
    [0, "0"],
    [-80, "-80"],
    [70000, "70000"],
    [80.5, "80.5"],
    [true, "true"],
    [{}, "an empty object"],
    [["80"], "a list of 1"],
    [Number.NaN, "NaN"],
  ])("refuses %j, which is neither a port nor a text", (bad, found) => {
    expect(problemsOfOne({ traffic: { ports: [bad] } })).toEqual([`traffic.ports[0]: ${expected}, ${found}; ${fix}`]);
  });

  test.each([undefined, null])("refuses %j in the list", (bad) => {
    expect(problemsOfOne({ traffic: { ports: [bad] } })).toEqual([
      "traffic.ports[0]: one of the ports, nothing; remove it",
    ]);
  });

  test("accepts every port and every range whose lower port is first", () => {
    fc.assert(
      fc.property(port, port, (one, other) => {
        const [low, high] = [Math.min(one, other), Math.max(one, other)];
        expect(isTaken({ ports: [one, `${one}`, `${low}-${high}`] })).toBe(true);
        expect(isTaken({ ports: [`${high}-${low}`] })).toBe(high === low);
      }),
    );
  });

  test("refuses every text that is neither a port nor a range", () => {
    // An independent definition: a valid text is equal to its numbers written again.
    const isRight = (text: string) => {
      const [low = Number.NaN, high = low] = text.split("-").map((part) => Number.parseInt(part, 10));
      return low >= 1 && high <= 65535 && low <= high && (text === `${low}` || text === `${low}-${high}`);
    };
    const likely = fc.stringMatching(/^[0-9 -]{0,12}$/);
    fc.assert(
      fc.property(fc.oneof(likely, fc.string(), fc.string({ unit: "binary" })), (text) => {
        expect(isTaken({ ports: [text] })).toBe(isRight(text));
      }),
      { numRuns: 2000 },
    );
  });
});

describe("cidrs", () => {
  const expected = 'a network such as "10.0.0.0/8" or "fd00::/8"';
  const fix = "set the bits behind the mask to zero; write one address as /32 or /128";

  test.each([
    "10.0.0.0",
    "10.0.0.1/8",
    "10.0.0.0/33",
    "10.0.0.0/08",
    "10.0.0.0/-1",
    "10.0.0.0/",
    "10.0.0.0/8/8",
    "10.0.0/8",
    "010.0.0.0/8",
    "256.0.0.0/8",
    "10.0.0.0/255.0.0.0",
    "10.0.0.0/8 ",
    "10.0.0.0/8\n",
    "0.0.0.1/0",
    "fd00::",
    "fd00::1/8",
    "fd00::/129",
    "fe80::%eth0/64",
    "fd00:::/8",
    "fd00::1::/64",
    "::ffff:10.0.0.0/104",
    "::ffff:a00:0/104",
    "[fd00::]/8",
    "localhost/32",
    "/8",
    "/",
    "",
  ])("refuses %j and says where it is, what is expected and how to fix it", (bad) => {
    expect(problemsOfOne({ traffic: { cidrs: ["10.0.0.0/8", bad] } })).toEqual([
      `traffic.cidrs[1]: ${expected}, ${JSON.stringify(bad)}; ${fix}`,
    ]);
  });

  test.each(["0.0.0.0/0", "::/0", "127.0.0.1/32", "::1/128", "fd00::/8", "2001:DB8::/32", "1:2:3:4:5:6:7:8/128"])(
    "accepts %j",
    (good) => {
      expect(problemsOfOne({ traffic: { cidrs: [good] } })).toEqual([]);
    },
  );

  /** A network address of `width` bits as a number; all bits after the first `bits` are zero. */
  const network = (width: number) =>
    fc
      .tuple(fc.bigInt({ min: 0n, max: 2n ** BigInt(width) - 1n }), fc.integer({ min: 0, max: width }))
      .map(([address, bits]) => {
        const behind = BigInt(width - bits);
        return { start: (address >> behind) << behind, bits, width };
      });
  const write4 = (address: bigint) => [24n, 16n, 8n, 0n].map((by) => (address >> by) & 255n).join(".");
  const write6 = (address: bigint) =>
    [112n, 96n, 80n, 64n, 48n, 32n, 16n, 0n].map((by) => ((address >> by) & 0xffffn).toString(16)).join(":");
  /** Shortens the first run of zeros to "::". */
  const shorten = (text: string) => text.replace(/(^|:)0(:0)+(:|$)/, "::");

  test("accepts every IPv4 network, and refuses it with a host bit set", () => {
    fc.assert(
      fc.property(network(32), ({ start, bits }) => {
        expect(isTaken({ cidrs: [`${write4(start)}/${bits}`] })).toBe(true);
        if (bits < 32) expect(isTaken({ cidrs: [`${write4(start | 1n)}/${bits}`] })).toBe(false);
      }),
    );
  });

  test("accepts every IPv6 network, long or short, and refuses it with a host bit set", () => {
    fc.assert(
      fc.property(network(128), ({ start, bits }) => {
        fc.pre(start >> 32n !== 0xffffn);
        expect(isTaken({ cidrs: [`${write6(start)}/${bits}`, `${shorten(write6(start))}/${bits}`] })).toBe(true);
        if (bits < 128) expect(isTaken({ cidrs: [`${write6(start | 1n)}/${bits}`] })).toBe(false);
      }),
    );
  });

  test("refuses every text that is not an address and a number of bits", () => {
    const text = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.stringMatching(/^[0-9a-f.:/]{0,20}$/));
    fc.assert(
      fc.property(text, (any) => {
        fc.pre(!/^[0-9a-fA-F.:]+\/[0-9]+$/.test(any));
        expect(isTaken({ cidrs: [any] })).toBe(false);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("traffic", () => {
  test.each([{}, { everything: false }, { ports: undefined }])("must be selected: %j selects none", (traffic) => {
    expect(problemsOfOne({ traffic })).toEqual([
      "traffic: a choice of traffic, an empty object; give ports, cidrs, or everything: true",
    ]);
  });

  test.each([{ ports: ["80"] }, { cidrs: ["10.0.0.0/8"] }])("may not be everything and also %j", (more) => {
    expect(problemsOfOne({ traffic: { ...more, everything: true } })).toEqual([
      "traffic.everything: everything alone, true; leave out ports and cidrs, or everything",
    ]);
  });

  test.each([[null], ["everything"], [[]]])("is an object, not %j", (traffic) => {
    const [problem, ...more] = problemsOfOne({ traffic });
    expect(problem).toMatch(/^traffic: an object, .*; use ports, cidrs, everything$/);
    expect(more).toEqual([]);
  });

  test.each([
    ["ports", "80", "ports", 'ports: [6379, "8000-8999"]'],
    ["ports", 80, "ports", 'ports: [6379, "8000-8999"]'],
    ["cidrs", "10.0.0.0/8", "networks", 'cidrs: ["10.0.0.0/8"]'],
  ])("may have 1 to 64 entries in %s, and the error says how to write %j", (name, entry, what, example) => {
    const want = `a list of 1 to 64 ${what}`;
    expect(isTaken({ [name]: Array(64).fill(entry) })).toBe(true);
    expect(problemsOfOne({ traffic: { [name]: Array(65).fill(entry) } })).toEqual([
      `traffic.${name}: ${want}, a list of 65; join neighbours to ranges`,
    ]);
    expect(problemsOfOne({ traffic: { [name]: [] } })).toEqual([
      `traffic.${name}: ${want}, a list of 0; leave it out for any`,
    ]);
    expect(problemsOfOne({ traffic: { [name]: entry } })).toEqual([
      `traffic.${name}: ${want}, ${JSON.stringify(entry)}; write it in brackets, as in ${example}`,
    ]);
    expect(problemsOfOne({ traffic: { [name]: {} } })).toEqual([
      `traffic.${name}: ${want}, an empty object; write a list, as in ${example}`,
    ]);
  });

  test("may not have an unknown property", () => {
    expect(problemsOfOne({ traffic: { port: ["80"], everything: true } })).toEqual([
      'traffic.port: a property that exists, "port"; use ports, cidrs, everything',
    ]);
  });
});
