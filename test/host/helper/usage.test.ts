// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { build, run } from "./probe.js";

const probe = build();

describe("wrong usage exits with 2 and one line that says what was expected", () => {
  const bench = "--mode, --transport, --size, --seconds, --ms, --port, --fds, --pin or --connections";
  const map = "expected count MAP, keys MAP, numbers MAP [KEY] or bytes MAP KEY";
  const advise = "expected SECONDS [json] [misses|exact] [gains KIND SIZE FROM TO...]";
  const verbs =
    "lock, grace, cgroup, selftest, bench, iterate, list, claim, write, hooks, owners, attach, splice, unread, map, tap, tapped, listeners, established or advise";
  test.each([
    ["", `expected ${verbs}, found nothing`],
    ["serve", `expected ${verbs}, found serve`],
    ["lock", "lock: expected DIR SECONDS -- COMMAND ARGUMENTS..."],
    ["lock /tmp 1 true", "lock: expected DIR SECONDS -- COMMAND ARGUMENTS..."],
    ["lock /tmp -1 -- true", "lock: expected DIR SECONDS -- COMMAND ARGUMENTS..."],
    ["lock /tmp 1 --", "lock: expected DIR SECONDS -- COMMAND ARGUMENTS..."],
    ["grace now", "grace: expected no argument, found now"],
    ["iterate", "iterate: expected PIN"],
    ["claim", "claim: expected DIR"],
    ["write /tmp", "write: expected DIR NAME"],
    ["write /tmp a/b", "write: expected DIR NAME"],
    ["hooks", "hooks: expected FOLDER"],
    ["attach /sys/fs/bpf/program", "attach: expected PROGRAM LINK"],
    ["splice", "splice: expected FEEDS"],
    ["unread all", "unread: expected no word"],
    ["owners all", "owners: expected no argument, found all"],
    ["listeners", "listeners: expected PORTS"],
    ["listeners 80,0", "listeners: expected PORTS"],
    ["listeners 9-8", "listeners: expected PORTS"],
    ["listeners 80,", "listeners: expected PORTS"],
    ["listeners 65536", "listeners: expected PORTS"],
    ["established", "established: expected POLICIES SLOT CGROUP"],
    ["established /sys/fs/bpf/map 2 /", "established: expected POLICIES SLOT CGROUP"],
    ["advise", `advise: ${advise}`],
    ["advise 0", `advise: ${advise}`],
    ["advise 3601", `advise: ${advise}`],
    ["advise 1 text", `advise: ${advise}`],
    ["advise 1 json gains rr 64 106", `advise: ${advise}`],
    ["advise 1 gains duplex 64 106 150", `advise: ${advise}`],
    ["map", `map: ${map}`],
    ["map values /sys/fs/bpf/map", `map: ${map}`],
    ["map keys", `map: ${map}`],
    ["map keys /sys/fs/bpf/map 0", `map: ${map}`],
    ["map bytes /sys/fs/bpf/map", `map: ${map}`],
    ["map numbers /sys/fs/bpf/map 0x1", `map: ${map}`],
    ["map numbers /sys/fs/bpf/map 0 1", `map: ${map}`],
    ["list /sys/fs/bpf/program", "list: expected PROGRAM MAP"],
    ["cgroup /tmp true", "cgroup: expected DIR -- COMMAND ARGUMENTS..."],
    ["selftest --seconds 0", "selftest: expected --seconds 1..3600 or nothing, found --seconds"],
    ["selftest --corrupt flip client 3", "selftest: expected --seconds 1..3600 or nothing, found --corrupt"],
    ["bench --mode", "bench: --mode: expected rr|stream|duplex|connect, found nothing"],
    ["bench --mode r", "bench: --mode: expected rr|stream|duplex|connect, found r"],
    ["bench --transport udp", "bench: --transport: expected tcp|tcp6|unix, found udp"],
    ["bench --size 0", "bench: --size: expected 1..1048576, found 0"],
    ["bench --size 1048577", "bench: --size: expected 1..1048576, found 1048577"],
    ["bench --seconds 1s", "bench: --seconds: expected 1..3600, found 1s"],
    ["bench --ms 99", "bench: --ms: expected 100..3600000, found 99"],
    ["bench --fds 2,3", "bench: --fds: expected CLIENT_FD,SERVER_FD, found 2"],
    ["bench --mode connect --transport unix", "bench: --mode connect: expected --transport tcp or tcp6, found unix"],
    ["bench --port 65536", "bench: --port: expected 0..65535, found 65536"],
    ["bench --connections 5000", "bench: --connections: expected 1..4096, found 5000"],
    ["bench --pin 0", "bench: --pin: expected CLIENT_CPU,SERVER_CPU, found 0"],
    ["bench --pin 0,", "bench: --pin: expected CLIENT_CPU,SERVER_CPU, found 0,"],
    ["bench --pin ,0", "bench: --pin: expected CLIENT_CPU,SERVER_CPU, found "],
    ["bench --cpu 0", `bench: expected ${bench}, found --cpu`],
  ])("probe %s", async (words, line) => {
    const args = words.split(" ").filter(Boolean);
    expect(await run(probe, ...args)).toEqual({ code: 2, stdout: "", stderr: `probe: ${line}\n` });
  });
});
