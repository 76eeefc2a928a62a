// SPDX-License-Identifier: Apache-2.0
import { readAnswer, type StatusAnswer, statusAnswer } from "../answers";
import { ask, scriptText, type Told } from "../ask";
import type { Context } from "../context";
import { table } from "../table";

const largest = 4 * 1024 * 1024;

/** One line for each instance of each host. */
export async function status(context: Context): Promise<number> {
  const told = await context.askAll(async (host) => {
    // With an instance, a host prints an object instead of a list.
    const said = await ask(host, context.manner, scriptText(host, "bypass status --json"), { seconds: 60, largest });
    return readAnswer(statusAnswer, host.instance === undefined ? said : `[${said}]`);
  });
  return context.tell(
    told,
    (value) => value,
    () => statusTable(told),
  );
}

export function statusTable(told: readonly Told<StatusAnswer>[]): string {
  const rows = told.flatMap((one) => {
    if ("error" in one) return [[one.host.name, "-", "-", "-", "-", "-", "-", one.error]];
    if (one.value.length === 0) return [[one.host.name, "-", "-", "-", "-", "-", "-", "no instance is installed"]];
    return one.value.map((its) => {
      const sum = (name: string) => its.generations.reduce((total, { counters }) => total + (counters[name] ?? 0), 0);
      const sockets = its.generations.reduce((total, { sockets }) => total + (sockets ?? 0), 0);
      const isOff = its.policy?.enabled === false || its.generations.some(({ drain }) => drain);
      const isTapped = its.generations.some(({ tap }) => tap);
      return [
        one.host.name,
        its.instance,
        its.healthy ? "yes" : "no",
        [its.serving || "nothing", ...(isOff ? ["(drained)"] : []), ...(isTapped ? ["(tap)"] : [])].join(" "),
        `${Math.ceil(sockets / 2)}`,
        `${sum("redirected_messages")}`,
        `${sum("tcp_messages")}`,
        its.problems.length === 0
          ? "-"
          : `${its.problems[0]}${its.problems.length > 1 ? ` (${its.problems.length - 1} more)` : ""}`,
      ];
    });
  });
  return table(["HOST", "INSTANCE", "HEALTHY", "SERVING", ">ENROLLED", ">BYPASS", ">TCP", "PROBLEM"], rows);
}
