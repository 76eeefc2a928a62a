// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { each, steps } from "../local/machine.js";
import { Fleet } from "../ssh/fleet.js";
import { isQuick, isSkipped, type Vm, vms } from "./vm.js";

const minutes = 60_000;
/** The steps of a host from this one on. */
const from = (step: string) => steps.slice(steps.indexOf(step)).map((name) => `web-${name}`);

/** The units for node-exporter, by their paths, as the page has them. */
const exporterUnits = Object.fromEntries(
  [
    ...readFileSync(join(__dirname, "../../../docs/how-to/node-exporter.md"), "utf8").matchAll(
      /^`(\/etc\/systemd\/system\/\S+)`:\n\n```ini\n(.*?)^```$/gms,
    ),
  ].map(([, path = "", text = ""]) => [path, text]),
);
/** Three connections of another user, in a network namespace that only its own process is in. */
const visited = `import signal, socket
listener = socket.create_server(("127.0.0.1", 0))
ends = [end for _ in range(3) for end in (socket.create_connection(listener.getsockname()), listener.accept()[0])]
print("open", flush=True)
signal.pause()
`;

// These do not prove a processor that is not emulated, or services that the distribution starts
// early in its boot. Each case continues from the previous one.
describe.skipIf(isSkipped).each(vms.length > 0 ? vms : [undefined])(
  "a machine with a systemd of its own: $name",
  (given) => {
    const vm = given as Vm;
    const fleet = new Fleet({
      hosts: isSkipped ? {} : { web: vm.host() },
      traffic: { everything: true },
      selfTest: { timeoutSeconds: 300 },
      detectDrift: true,
    });

    test(
      "up installs, its traffic is bypassed, and a preview then changes nothing",
      async () => {
        expect((await fleet.preview()).changes).toEqual(each("create", from("object")));
        await fleet.up();
        expect(vm.status()).toMatchObject({ healthy: true, problems: [], cgroup: "/" });
        const before = vm.redirected();
        expect(vm.talk()).toBe("exact");
        // The first messages of each direction go over TCP.
        expect(vm.redirected() - before).toBeGreaterThan(150);
        expect(await fleet.preview()).toMatchObject({ changes: {}, said: expect.not.stringContaining("drift") });
      },
      15 * minutes,
    );

    test(
      "systemd finds no fault in the boot unit, and rates its exposure as low",
      async () => {
        const unit = vm.unit();
        expect(vm.run(`systemd-analyze verify /etc/systemd/system/${unit} 2>&1`)).toBe("");
        const { CapabilityBoundingSet } = vm.show(unit, "CapabilityBoundingSet");
        expect(CapabilityBoundingSet?.split(" ").sort()).toEqual(
          ["bpf", "net_admin", "perfmon", "sys_admin", "sys_resource", "syslog"].map((name) => `cap_${name}`),
        );
        const [, exposure] =
          /exposure level for \S+: ([\d.]+)/.exec(vm.run(`systemd-analyze security --no-pager ${unit}`)) ?? [];
        expect(Number(exposure)).toBeGreaterThan(0);
        expect(Number(exposure)).toBeLessThan(4);
      },
      5 * minutes,
    );

    test(
      "the service for node-exporter writes all metrics, with connections of other users in other namespaces",
      async () => {
        const service = "socket-bypass-metrics.service";
        const paths = Object.keys(exporterUnits);
        expect(paths).toEqual([service, "socket-bypass-metrics.timer"].map((name) => `/etc/systemd/system/${name}`));
        for (const [path, text] of Object.entries(exporterUnits)) vm.run(`cat >${path}`, text);
        const folder = "/var/lib/prometheus/node-exporter";
        vm.run(`mkdir -p ${folder} && chown 65534:65534 ${folder} && cat >/run/visited.py`, visited);
        expect(vm.run(`systemd-analyze verify ${paths.join(" ")} 2>&1`)).toBe("");
        const enter = "ip link set lo up && exec setpriv --reuid=65534 --regid=65534 --clear-groups";
        const out = "-p StandardOutput=file:/run/visited";
        vm.run(`systemd-run -q --unit=visited ${out} unshare -n sh -c '${enter} python3 /run/visited.py'`);
        vm.run("until grep -q open /run/visited; do sleep 1; done");
        vm.run("systemctl daemon-reload && systemctl start socket-bypass-metrics.service");
        expect(vm.show(service, "Result")).toEqual({ Result: "success" });
        const text = vm.run(`cat ${folder}/socket-bypass.prom`);
        const [, count] = /^socket_bypass_established_connections\{[^}]*,ports="any"\} (\d+)$/m.exec(text) ?? [];
        expect(Number(count)).toBeGreaterThanOrEqual(3);
        expect(text).toMatch(/^socket_bypass_up\{instance="[^"]*"\} 1$/m);
        vm.run(`systemctl stop visited && rm -r ${paths.join(" ")} ${folder} /run/visited* && systemctl daemon-reload`);
      },
      5 * minutes,
    );

    test(
      "after a reboot it serves before services that wait for the network start, is healthy, and needs no change",
      async () => {
        await vm.reboot("asked");
        const unit = vm.unit();
        const [its, sshd] = [unit, "guest-sshd.service"].map((name) =>
          vm.show(name, "ActiveState", "Result", "ActiveEnterTimestampMonotonic"),
        );
        expect(its).toMatchObject({ ActiveState: "active", Result: "success" });
        expect(Number(its?.ActiveEnterTimestampMonotonic)).toBeLessThan(Number(sshd?.ActiveEnterTimestampMonotonic));
        expect(vm.status()).toMatchObject({ healthy: true, problems: [] });
        expect(vm.talk()).toBe("exact");
        expect(vm.redirected()).toBeGreaterThan(150);
        expect(await fleet.preview()).toMatchObject({ changes: {}, said: expect.not.stringContaining("drift") });
      },
      15 * minutes,
    );

    test.skipIf(isQuick)(
      "after a power cut, and on another kernel than the self-test passed on, the unit runs the self-test again and serves",
      async () => {
        vm.run("for kernel in /var/lib/socket-bypass/*/kernel; do echo 6.0.0-other >$kernel; done; sync");
        await vm.reboot("power cut");
        expect(vm.run("cat /var/lib/socket-bypass/*/kernel")).toBe(vm.run("uname -rv"));
        expect(vm.status()).toMatchObject({ healthy: true, problems: [] });
        expect(vm.talk()).toBe("exact");
        expect(vm.redirected()).toBeGreaterThan(150);
        expect((await fleet.preview()).changes).toEqual({});
      },
      15 * minutes,
    );

    test.skipIf(isQuick)(
      "what was detached or unpinned by hand shows as updates from that step on, and up repairs it",
      async () => {
        const { instance, serving } = vm.status();
        const pins = `/sys/fs/bpf/socket-bypass/${instance}/${serving}`;
        vm.run(`bpftool cgroup detach /sys/fs/cgroup sock_ops pinned ${pins}/track`);
        const detached = await fleet.preview();
        expect(detached.changes).toEqual({ "web-attachment": "update" });
        expect(detached.said).toMatch(/drift: .*expected to be attached to \S+, found nothing/);
        expect((await fleet.up()).changes).toEqual({ "web-attachment": "update" });
        expect((await fleet.preview()).changes).toEqual({});

        vm.run(`rm ${pins}/redirect`);
        // Later steps run again if it really did something, which a preview cannot know.
        expect((await fleet.preview()).changes).toEqual(each("update", from("program-redirect")));
        await fleet.up();
        expect(vm.status()).toMatchObject({ healthy: true, problems: [] });
        expect(vm.talk()).toBe("exact");
        expect((await fleet.preview()).changes).toEqual({});
      },
      20 * minutes,
    );

    test.skipIf(isQuick)(
      "an upgrade under load loses no byte, and open connections go on",
      async () => {
        const { serving } = vm.status();
        const load = await vm.startLoad();
        const redirected = vm.redirected();
        expect(redirected).toBeGreaterThan(0);
        fleet.args = { ...fleet.args, limits: { sockets: 32_768 } };
        expect((await fleet.up()).changes).toEqual(each("update", from("object")));
        expect(vm.status()).toMatchObject({ healthy: true, problems: [] });
        expect(vm.status().serving).not.toBe(serving);
        const [before, after] = [await load.rounds(), await load.rounds()];
        for (const [number, rounds] of after.entries()) expect(rounds).toBeGreaterThan(before[number] ?? Number.NaN);
        expect(await load.stop()).toBe("4 exact");
        expect(vm.talk()).toBe("exact");
        expect((await fleet.preview()).changes).toEqual({});
      },
      15 * minutes,
    );

    test(
      "destroy under load loses no byte and leaves no pin, program, map, file or unit, also after a reboot",
      async () => {
        const load = await vm.startLoad();
        await fleet.destroy();
        const before = await load.rounds();
        expect(vm.traces()).toEqual([]);
        const after = await load.rounds();
        for (const [number, rounds] of after.entries()) expect(rounds).toBeGreaterThan(before[number] ?? Number.NaN);
        expect(await load.stop()).toBe("4 exact");
        if (isQuick) return;
        await vm.reboot("asked");
        expect(vm.traces()).toEqual([]);
      },
      15 * minutes,
    );
  },
);
