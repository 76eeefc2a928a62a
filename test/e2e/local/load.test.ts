// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { isSkipped, Machine } from "./machine.js";

describe.skipIf(isSkipped)("under load", () => {
  test("destroy loses no byte and leaves nothing", async () => {
    const machine = new Machine();
    await machine.up();
    const traffic = await machine.startTraffic();
    for (let count = 0; count < 20; count++) {
      expect(await traffic.ask(`open ${traffic.ports[count % 2]}`)).toBe("exact");
    }
    expect(machine.counter("pairs")).toBe(20);
    expect(await traffic.ask("flow")).toBe("flowing");
    await machine.destroy();
    expect(await traffic.ask("stop")).toBe("20 exact");
    expect(machine.traces()).toEqual([]);
    expect(await traffic.ask("again")).toBe("20 exact");
  });
});
