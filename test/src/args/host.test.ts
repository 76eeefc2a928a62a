// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { far } from "../far";
import { problemsOfMany, problemsOfOne } from "./report";

const traffic = { everything: true };

describe("one property", () => {
  const stateDir =
    'an absolute directory such as "/var/lib/socket-bypass"; use letters, digits and . _ - in each part, and no "..", no double or closing "/"; nothing below /tmp, /var/tmp, /dev/shm, /run/lock or /run/user';
  const cgroup =
    'a directory of cgroup v2 such as "/" or "/system.slice", and not of a .service or .scope; begin with "/"; no "..", no double or closing "/", no blank; use the slice above a service';
  const become =
    'a command and its options, such as "sudo -n"; use letters, digits and . _ / - + : only, one blank between words, no quotes';
  const machineId = "a printable text of 1 to 200 characters; use the ID of the machine";
  const instance =
    "a name of 1 to 63 lower-case letters, digits and dashes, no dash at either end; give the name that the installation has, as in /var/lib/socket-bypass; an Output is known too late";
  const flag = "true or false; write it without quotes";

  test.each([
    ...[
      "var/lib",
      "",
      "/",
      "/a/",
      "//a",
      "/a//b",
      "/a/..",
      "/../a",
      "/a/./b",
      "/a b",
      "/a\n",
      "/a%b",
      "/$HOME",
      "/é",
      "/tmp",
      "/tmp/a",
      "/var/tmp/a",
      "/dev/shm/a",
      "/run/lock/a",
      "/var/lock/a",
      "/run/user/0/a",
    ].map((bad) => ["stateDir", bad, stateDir] as const),
    ...["a", "", "/a/", "//", "/..", "/a/../b", "/a/.", "/a b", "/a\n", "/nginx.service", "/a/s.scope", "/é"].map(
      (bad) => ["cgroup", bad, cgroup] as const,
    ),
    ...["", " sudo", "sudo ", "sudo  -n", "sudo -n; reboot", "$(id)", "`id`", "sudo\n-n", 'sudo "-n"', "A=1 sudo"].map(
      (bad) => ["become", bad, become] as const,
    ),
    ...["", "a\nb", "é", "\0"].map((bad) => ["machineId", bad, machineId] as const),
    ...["true", 1, {}].map((bad) => ["enabled", bad, flag] as const),
    ...["no", 0].map((bad) => ["takeOver", bad, flag] as const),
    ...["no", 0].map((bad) => ["boot", bad, flag] as const),
    ...["yes", 1].map((bad) => ["adopt", bad, flag] as const),
    ...["yes", true, false].map(
      (bad) => ["spliceGuard", bad, '"auto", "require" or "off"; choose one of the three'] as const,
    ),
    ...["", "a b", "A", "-a", "a-", "a/b", "_a", "a.b", "a\n", "x".repeat(64), 1].map(
      (bad) => ["instance", bad, instance] as const,
    ),
    ...["yes", 1].map((bad) => ["detectDrift", bad, `${flag}; an Output is known too late`] as const),
  ])("%s: refuses %j", (name, bad, words) => {
    const [expected, ...fix] = words.split("; ");
    // Users may put a password into these two by mistake, so errors do not show their values.
    const isHidden = name === "become" || name === "machineId";
    const shown = bad === "" ? "an empty text" : "another text";
    const found = typeof bad === "object" ? "an empty object" : isHidden ? shown : JSON.stringify(bad);
    // Some fixes contain semicolons themselves.
    expect(problemsOfOne({ traffic, [name]: bad })).toEqual([`${name}: ${expected}, ${found}; ${fix.join("; ")}`]);
  });

  test.each([
    ["stateDir", "/opt/socket-bypass_1.0"],
    ["stateDir", "/srv/tmp"],
    ["stateDir", "/tmpfiles"],
    ["cgroup", "/"],
    ["cgroup", "/system.slice/kube-pods"],
    ["cgroup", "/a..b"],
    ["become", "sudo -n"],
    ["become", "sudo -n -u=root"],
    ["become", "/usr/bin/doas"],
    ["instance", "edge-web1-1a2b3c4d"],
    ["instance", "x".repeat(63)],
    ["machineId", "i-0abc / zone 'b' $(x)"],
    ["enabled", false],
  ])("%s: accepts %j", (name, good) => {
    expect(problemsOfOne({ traffic, [name]: good })).toEqual([]);
  });

  test.each([
    ["limits", "queueBytes", 65536, 1073741824, "bytes"],
    ["limits", "refreshSeconds", 1, 300, "seconds"],
    ["limits", "sockets", 64, 4194304, "sockets"],
    ["limits", "pendingPairs", 64, 1048576, "pairs"],
    ["selfTest", "timeoutSeconds", 5, 600, "seconds"],
  ])("%s.%s: accepts whole numbers from %d to %d and nothing else", (group, name, low, high, unit) => {
    const problems = (value: unknown) => problemsOfOne({ traffic, [group]: { [name]: value } });
    expect([problems(low), problems(high)]).toEqual([[], []]);
    const wrong = [low - 1, high + 1, low + 0.5, -1, Number.NaN, Number.POSITIVE_INFINITY, `${low}`];
    expect(wrong.map(problems)).toEqual(
      wrong.map((value) => [
        `${group}.${name}: a whole number of ${unit} from ${low} to ${high}, ${
          typeof value === "string" ? JSON.stringify(value) : value
        }; give a number from ${low} to ${high}, without quotes`,
      ]),
    );
  });

  test.each(["Prebuilt", "host", "", 1])("bpf.compile: refuses %j", (bad) => {
    expect(problemsOfOne({ traffic, bpf: { compile: bad } })).toEqual([
      `bpf.compile: "prebuilt", "target" or "deployer", ${JSON.stringify(bad)}; choose one of the three`,
    ]);
  });

  test.each(["prebuilt", "target", "deployer"])("bpf.compile: accepts %j", (compile) => {
    expect(problemsOfOne({ traffic, bpf: { compile } })).toEqual([]);
  });
});

test.each([
  ["/sys/fs/cgroup", "/sys/fs/cgroup"],
  ["/sys/fs/cgroup/system.slice", "/sys/fs/cgroup"],
  ["/sys/fs/cgroup/unified/system.slice", "/sys/fs/cgroup/unified"],
])("cgroup: %s begins with a mount that is left out", (cgroup, mount) => {
  expect(problemsOfOne({ traffic, cgroup })).toEqual([
    `cgroup: a directory of cgroup v2 relative to its mount, such as "/" or "/system.slice", "${cgroup}"; leave out ${mount}, where cgroup v2 is mounted; what is left begins with "/"`,
  ]);
});

describe("an unknown property", () => {
  const all = "traffic, enabled, cgroup, bpf, selfTest, limits, takeOver, adopt, spliceGuard, detectDrift, observe";

  const ofHost = "local, connection, allowUnknownHostKey, machine, machineId, become, stateDir, boot, instance";

  test.each([
    [{ trafic: {} }, "trafic", `${all}, ${ofHost}`],
    [{ statedir: "/a" }, "statedir", `${all}, ${ofHost}`],
    [{ limits: { queuebytes: 1 } }, "limits.queuebytes", "queueBytes, refreshSeconds, sockets, pendingPairs"],
    [{ selfTest: { timeout: 1 } }, "selfTest.timeout", "enabled, timeoutSeconds"],
    [{ bpf: { compiler: "x" } }, "bpf.compiler", "compile"],
  ])("is reported with the names that exist: %j", (args, path, names) => {
    const key = path.split(".").at(-1);
    expect(problemsOfOne({ traffic, ...args })).toEqual([`${path}: a property that exists, "${key}"; use ${names}`]);
  });

  test("of a host is reported under the host's key", () => {
    expect(problemsOfMany({ traffic, hosts: { "web.1": { local: true, statedir: "/a" } } })).toEqual([
      '1 problem in the arguments of SocketBypass "edge":',
      'hosts["web.1"].statedir: expected a property that exists, found "statedir"; use local, connection, allowUnknownHostKey, machine, machineId, become, stateDir, boot, instance',
    ]);
  });
});

describe("hosts", () => {
  test.each([
    [null, "nothing"],
    [{}, "an empty object"],
    [[], "a list of 0"],
    [[{}], "a list of 1"],
    ["web1", "another text"],
  ])("is a map of at least one host, not %j", (hosts, found) => {
    expect(problemsOfMany({ traffic, hosts })).toEqual([
      '1 problem in the arguments of SocketBypass "edge":',
      `hosts: expected a map of at least one host, found ${found}; name a host, as in { web1: { connection } }`,
    ]);
  });

  test("may be left out only if there is a node pool", () => {
    expect(problemsOfMany({ traffic, nodePools: { workers: { image: "one" } } })).toEqual([]);
    expect(problemsOfMany({ traffic })).toEqual([
      '1 problem in the arguments of SocketBypass "edge":',
      "hosts: expected a map of at least one host, found nothing; name a host, as in { web1: { connection } }, or a pool in nodePools",
    ]);
  });

  test.each(["", "-a", ".a", "a b", "a/b", "a\n", "é", "a::b", "x".repeat(64)])("refuses the key %j", (key) => {
    const [, ...problems] = problemsOfMany({ traffic, hosts: { [key]: { local: true } } });
    const path = /^[A-Za-z_]\w*$/.test(key) ? `hosts.${key}` : `hosts[${JSON.stringify(key)}]`;
    expect(problems).toEqual([
      `${path}: expected a host name of 1 to 63 letters, digits and . _ -, the first a letter or digit, ` +
        `found ${JSON.stringify(key)}; rename the host in this map`,
    ]);
  });

  test.each(["a", "1", "web-1.example_x", "x".repeat(63), "constructor"])("accepts the key %j", (key) => {
    expect(problemsOfMany({ traffic, hosts: { [key]: { local: true } } })).toEqual([]);
  });

  test.each([[null], ["10.0.0.1"], [[]]])("refuses %j as a host", (host) => {
    expect(problemsOfMany({ traffic, hosts: { a: host } })[1]).toMatch(
      /^hosts\.a: expected an object, found .*; use local, connection, allowUnknownHostKey, machine, machineId, become, stateDir, boot, instance$/,
    );
  });
});

test("one error reports all problems", () => {
  const args = {
    hosts: { web1: { local: true, stateDir: "lib" }, "web 2": { ...far, become: "a;b", Id: "x" } },
    traffic: { ports: ["0", "80", "9-8"], cidrs: ["10.0.0.1/8"], everything: true },
    cgroup: "/a/../b",
    limits: { sockets: 1 },
    enabld: true,
  };
  const [head, ...problems] = problemsOfMany(args);
  expect(head).toBe('11 problems in the arguments of SocketBypass "edge":');
  expect(problems.map((line) => line.split(": ")[0]).sort()).toEqual(
    [
      "cgroup",
      "enabld",
      'hosts["web 2"]',
      'hosts["web 2"].Id',
      'hosts["web 2"].become',
      "hosts.web1.stateDir",
      "limits.sockets",
      "traffic.cidrs[0]",
      "traffic.everything",
      "traffic.ports[0]",
      "traffic.ports[2]",
    ].sort(),
  );
});

test("a long value is truncated in the error", () => {
  const [problem] = problemsOfOne({ traffic, stateDir: "x".repeat(1000) });
  expect(problem?.length).toBeLessThan(400);
  expect(problem).toContain(`${"x".repeat(79)}…`);
});

test.each([[undefined], [null], ["x"], [[]]])("%j instead of arguments is one problem", (args) => {
  expect(problemsOfOne(args)).toHaveLength(1);
});
