// SPDX-License-Identifier: Apache-2.0
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { attachments, isSkipped, Machine } from "./machine.js";

type Fault = "fails" | "is killed with its script";

// These do not break every call of bpftool; test/host/script does, with the script alone.
describe.skipIf(isSkipped)("bpftool", () => {
  // The preflight comes first and makes each thing once as a trial. If the first step is killed, no
  // earlier step exists whose delete would clean up after it, so there `up` comes before `destroy`.
  test.each<[Fault, string, number, "up" | "destroy"]>([
    ["fails", "prog load", 1, "destroy"],
    ["is killed with its script", "prog load", 1, "up"],
    ["is killed with its script", "map create", 4, "destroy"],
    ["fails", "type sockops", 2, "up"],
    ["is killed with its script", "prog attach", 2, "destroy"],
    ["is killed with its script", "cgroup attach", 1, "up"],
  ])("%s in up, at '%s' number %i: then %s succeeds, and destroy leaves nothing", async (fault, what, at, next) => {
    const machine = new Machine();
    breakBpftool(machine, what, at, fault);
    expect(await machine.failure(machine.up())).toMatch(
      fault === "fails" ? "injected" : /signal: killed|exit status 137/,
    );
    machine.removeTool("bpftool");
    if (next === "up") {
      await machine.up();
      expect(machine.status()).toMatchObject({ healthy: true, problems: [] });
      expect((await machine.up()).changes).toEqual({});
    }
    await machine.destroy();
    expect(machine.traces()).toEqual([]);
  });

  test("is killed after it attached, in a step that Pulumi then does not know: destroy still detaches it", async () => {
    const machine = new Machine();
    breakBpftool(machine, "cgroup attach", 1, "is killed with its script", "after");
    await machine.failure(machine.up());
    machine.removeTool("bpftool");
    expect(machine.traces()).toContain("track_sockets");
    expect(Object.keys((await machine.destroy()).changes)).not.toContain("attachment");
    expect(machine.traces()).toEqual([]);
  });

  test.each([
    ["SIGINT to the engine ends the run after the current step", 1],
    ["a second SIGINT ends it in the middle of the step", 2],
  ])("%s: the next up converges, and destroy leaves nothing", async (_, signals) => {
    const machine = new Machine();
    interruptEngine(machine, "prog attach", 2, signals);
    expect(await machine.failure(machine.up())).toMatch(/cancell?ed|interrupt|signal|exit/i);
    machine.removeTool("bpftool");
    await machine.idle();
    expect(attachments(machine.cgroupFolder())).toEqual([]);
    await machine.up();
    expect(machine.status()).toMatchObject({ healthy: true, problems: [] });
    expect((await machine.up()).changes).toEqual({});
    await machine.destroy();
    expect(machine.traces()).toEqual([]);
  });

  test("fails during destroy: the next destroy leaves nothing", async () => {
    const machine = new Machine();
    await machine.up();
    breakBpftool(machine, "cgroup detach", 1, "fails");
    expect(await machine.failure(machine.destroy())).toContain("run this again");
    machine.removeTool("bpftool");
    await machine.destroy();
    expect(machine.traces()).toEqual([]);
  });
});

/** Breaks call number `at` of those that contain `what`. */
function breakBpftool(
  machine: Machine,
  what: string,
  at: number,
  fault: Fault,
  when: "before" | "after" = "before",
): void {
  const calls = join(machine.toolFolder, "calls");
  // Kills from the oldest process of this installation on, because its process group also has the
  // engine.
  const kill = `chain= p=$PPID
while tr '\\0' ' ' </proc/$p/cmdline | grep -q -e '--instance ${machine.instance()} '; do
chain="$p $chain" p=$(sed 's/.*) . //; s/ .*//' /proc/$p/stat)
done
kill -9 $chain; exit 1`;
  const act = fault === "fails" ? `echo '{"error":"injected"}'; exit 255` : kill;
  machine.writeTool(
    "bpftool",
    `case "$*" in *"${what}"*) ;; *) exec /usr/sbin/bpftool "$@" ;; esac
echo "$*" >>${calls}
[ "$(grep -c . ${calls})" -eq ${at} ] || exec /usr/sbin/bpftool "$@"
${when === "after" ? '/usr/sbin/bpftool "$@"\n' : ""}${act}`,
  );
}

/**
 * Makes call number `at` of those that contain `what` send the signals to the engine, and then go
 * on.
 */
function interruptEngine(machine: Machine, what: string, at: number, signals: number): void {
  const calls = join(machine.toolFolder, "calls");
  machine.writeTool(
    "bpftool",
    `case "$*" in *"${what}"*) ;; *) exec /usr/sbin/bpftool "$@" ;; esac
echo "$*" >>${calls}
[ "$(grep -c . ${calls})" -eq ${at} ] || exec /usr/sbin/bpftool "$@"
p=$PPID
while [ "$(cat /proc/$p/comm)" != pulumi ]; do p=$(sed 's/.*) . //; s/ .*//' /proc/$p/stat); done
for i in $(seq ${signals}); do kill -INT $p; sleep 1; done
exec /usr/sbin/bpftool "$@"`,
  );
}
