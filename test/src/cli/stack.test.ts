// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { cli, programs } from "./run";

// The stand-in for pulumi prints an output, and that for ssh its own words.
const status = async (ssh: object) => {
  const output = JSON.stringify({ web: { ssh, stateDir: "/var/lib/socket-bypass", instance: "edge" } });
  const pulumi = `cat <<'END'\n${output}\nEND`;
  const PATH = `${programs({ pulumi, ssh: 'echo "it ran: $*" | cut -c 1-200 >&2; exit 1' })}:${process.env.PATH}`;
  return await cli(["status", "--stack", "prod"], { PATH });
};
const bastion = { host: "192.0.2.1", port: 22, user: "jump" };
const web = { host: "web1", port: 22, user: "root" };

test("the logins of a stack become words of ssh", async () => {
  const { stdout } = await status({
    ...web,
    user: "CORP\\ops@corp.example",
    proxy: { ...bastion, host: "2001:db8::1" },
  });
  expect(stdout).toContain("-J jump@[2001:db8::1]:22 -p 22 -l CORP\\ops@corp.example web1");
});

test.each([
  ["a bastion's user that is a command", { ...web, proxy: { ...bastion, user: "$(id)" } }, "proxy.user"],
  ["a bastion's user that names another bastion", { ...web, proxy: { ...bastion, user: "a@b,c" } }, "proxy.user"],
  ["a bastion's user that escapes", { ...web, proxy: { ...bastion, user: "a\\" } }, "proxy.user"],
  ["a bastion's host that ssh expands", { ...web, proxy: { ...bastion, host: "%h" } }, "proxy.host"],
  ["a host that ssh expands", { ...web, host: "fe80::1%eth0" }, "host"],
  ["a user that is an option", { ...web, user: "-oProxyCommand=x" }, "user"],
  ["a user that is a command", { ...web, user: "`id`" }, "user"],
  ["a user that ssh expands", { ...web, user: "%r" }, "user"],
])("%s is refused before ssh runs", async (_, ssh, at) => {
  const { code, stdout, stderr } = await status(ssh);
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toContain(`expected the logins of a SocketBypass, found something else at web.ssh.${at}\n`);
});
