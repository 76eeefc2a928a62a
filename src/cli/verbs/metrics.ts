// SPDX-License-Identifier: Apache-2.0
import { ask, scriptText } from "../ask";
import { type Context, failures } from "../context";
import { mergeMetrics, readMetrics } from "../open-metrics";

const largest = 16 * 1024 * 1024;

/** The counters of all hosts in one OpenMetrics text. */
export async function metrics(context: Context): Promise<number> {
  const told = await context.askAll(async (host) => {
    const said = await ask(host, context.manner, scriptText(host, "bypass metrics"), { seconds: 60, largest });
    return readMetrics(said);
  });
  for (const line of context.given.isJson ? [] : failures(told)) console.error(line);
  return context.tell(
    told,
    (families) => [...families.values()].flatMap(({ samples }) => samples),
    () => mergeMetrics(told.flatMap((one) => ("error" in one ? [] : [{ host: one.host.name, families: one.value }]))),
  );
}
