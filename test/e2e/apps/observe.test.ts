// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { Datapath, expectCounters } from "../../bpf/datapath.js";
import { client, isSkippedWithout, Program } from "./program.js";

describe.skipIf(isSkippedWithout("ss", "python3"))("what an operator sees of 100 exchanges of 1000 bytes", () => {
  test("is all of it over TCP, in tcpdump and ss", async () => {
    const path = await Datapath.make([], "--ports", "1");
    const found = JSON.parse(await new Program(path, client("observe")).result());
    expect(found).toEqual({ syn: 2, fin: 2, payload: 200_000, ss: 200_000 });
    await expectCounters(path, { pairs: 0 });
  });

  test("is the start and the end of the connection with the bypass, and not a byte between", async () => {
    const path = await Datapath.make();
    const found = JSON.parse(await new Program(path, client("observe")).result());
    expect(found).toEqual({ syn: 2, fin: 2, payload: 0, ss: 0 });
    await expectCounters(path, { pairs: 1, redirected_bytes: 200_000 });
  });
});
