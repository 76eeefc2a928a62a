// SPDX-License-Identifier: Apache-2.0
// The panels of the dashboard, row by row. An expression in which $F stands gets the filter of the
// dashboard's variables there, and $H that of the hosts alone.

/** One line, or one family of lines, of a graph, or the number of a tile. */
export interface Query {
  readonly expr: string;
  readonly legend?: string;
}

interface Base {
  readonly title: string;
  readonly description: string;
  /** Of 24 columns. */
  readonly width: number;
  /** In units of Grafana; the default depends on the kind. */
  readonly height?: number;
  /** A unit of Grafana. Default "short". */
  readonly unit?: string;
  readonly queries: readonly Query[];
}

/** A number, with colours that begin at these values; the first one has none. */
export interface Tile extends Base {
  readonly kind: "tile";
  readonly colors?: readonly (readonly [color: string, from: number | null])[];
  readonly noValue?: string;
}

export interface Graph extends Base {
  readonly kind: "graph";
  readonly max?: number;
  readonly isStacked?: boolean;
}

/** A line for each host; each query is a column, and the name of that column. */
export interface HostTable extends Base {
  readonly kind: "hosts";
}

export type Panel = Tile | Graph | HostTable;

export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

const rate = (name: string, more = "") =>
  `rate(socket_bypass_${name}_total{$F${more && ","}${more}}[$__rate_interval])`;
const share = (by: string) =>
  `sum ${by}(${rate("redirected_messages")}) / (sum ${by}(${rate("redirected_messages")}) + sum ${by}(${rate("tcp_messages")}) > 0)`;
const counters = (names: Readonly<Record<string, string>>): Query[] =>
  Object.entries(names).map(([name, legend]) => ({ expr: `sum(${rate(name)})`, legend }));

export const rows: readonly Row[] = [
  {
    title: "Is it working?",
    panels: [
      {
        ...{ kind: "tile", title: "Installations", width: 4 },
        description: "Installations that report, one for each host or node.",
        queries: [{ expr: "count(socket_bypass_healthy{$F})" }],
      },
      {
        ...{ kind: "tile", title: "Not as declared", width: 4 },
        description: "socket-bypass status on the host says what differs.",
        colors: [
          ["green", null],
          ["red", 1],
        ],
        queries: [{ expr: "sum(1 - socket_bypass_healthy{$F})" }],
      },
      {
        ...{ kind: "tile", title: "Messages bypassed", unit: "percentunit", width: 4, noValue: "no traffic" },
        description: "Of all messages that enrolled connections send.",
        colors: [
          ["red", null],
          ["orange", 0.5],
          ["green", 0.9],
        ],
        queries: [{ expr: share("") }],
      },
      {
        ...{ kind: "tile", title: "Enrolled connections", width: 4 },
        description: "Connections with both ends on one host. An end that waits for its peer counts as half.",
        queries: [{ expr: "sum(socket_bypass_enrolled_sockets{$F}) / 2" }],
      },
      {
        ...{ kind: "tile", title: "Messages bypassed per second", unit: "ops", width: 4 },
        description: "A socket adds its messages every 32 messages, every 256 KiB and at its end.",
        queries: [{ expr: `sum(${rate("redirected_messages")})` }],
      },
      {
        ...{ kind: "tile", title: "Bytes bypassed per second", unit: "Bps", width: 4 },
        description: "What tcpdump, firewalls and ss do not see.",
        queries: [{ expr: `sum(${rate("redirected_bytes")})` }],
      },
      {
        ...{ kind: "graph", title: "Messages per second by way", unit: "ops", width: 12, isStacked: true },
        description: "Messages of enrolled connections.",
        queries: counters({ redirected_messages: "bypass", tcp_messages: "TCP" }),
      },
      {
        ...{ kind: "graph", title: "Messages bypassed, by host", unit: "percentunit", width: 12, max: 1 },
        description: "A line has a gap while a host sends nothing.",
        queries: [{ expr: share("by (instance) "), legend: "{{instance}}" }],
      },
    ],
  },
  {
    title: "By port",
    panels: [
      {
        ...{ kind: "graph", title: "Messages bypassed, by range of ports", unit: "percentunit", width: 12, max: 1 },
        description: "The ranges are those of the policy. A line has a gap while nothing is sent.",
        queries: [
          {
            expr: `sum by (ports) (${rate("port_messages", 'path="bypass"')}) / (sum by (ports) (${rate("port_messages")}) > 0)`,
            legend: "{{ports}}",
          },
        ],
      },
      {
        ...{ kind: "graph", title: "Connections of these hosts with themselves", width: 12 },
        description:
          "Established ones with both ends on one host, and those of them that are enrolled. " +
          "The pods of a pool report only the latter.",
        queries: [
          { expr: "sum by (ports) (socket_bypass_established_connections{$F})", legend: "established {{ports}}" },
          { expr: "sum by (ports) (socket_bypass_enrolled_connections{$F})", legend: "enrolled {{ports}}" },
        ],
      },
      {
        ...{ kind: "graph", title: "Messages per second by range and way", unit: "ops", width: 12, isStacked: true },
        description: "Of enrolled connections.",
        queries: [{ expr: `sum by (ports, path) (${rate("port_messages")})`, legend: "{{ports}} {{path}}" }],
      },
      {
        ...{ kind: "graph", title: "Bytes per second by range and way", unit: "Bps", width: 12, isStacked: true },
        description: "Of enrolled connections.",
        queries: [{ expr: `sum by (ports, path) (${rate("port_bytes")})`, legend: "{{ports}} {{path}}" }],
      },
    ],
  },
  {
    title: "Why over TCP",
    panels: [
      {
        ...{ kind: "graph", title: "Messages over TCP per second, by reason", unit: "ops", width: 12 },
        description: "Of enrolled connections. docs/reference/metrics.md explains each reason.",
        queries: [{ expr: `sum by (reason) (${rate("not_redirected")})`, legend: "{{reason}}" }],
      },
      {
        ...{ kind: "graph", title: "Messages over TCP per second, by host", unit: "ops", width: 12 },
        description: "Of enrolled connections.",
        queries: [{ expr: `sum by (instance) (${rate("tcp_messages")})`, legend: "{{instance}}" }],
      },
      {
        ...{ kind: "graph", title: "Connections and ends not enrolled, per second", unit: "ops", width: 12 },
        description: "docs/reference/metrics.md names the counters.",
        queries: counters({
          remote_skipped: "peer on another host, or refused",
          policy_skipped: "not in the policy",
          short_skipped: "too short to gain",
          refused_options: "an option that needs TCP",
          refused_deferred: "begins with bytes",
          refused_busy: "another sockmap holds it",
          refused_full: "a map is full",
          refused_other: "another kind of socket",
          unpaired: "never found its peer",
        }),
      },
      {
        ...{ kind: "graph", title: "Directions that turned to TCP, per second", unit: "ops", width: 12 },
        description: "A spill lasts until the reader has caught up; a direction that leaves stays on TCP for good.",
        queries: counters({
          spills: "spilled",
          returns: "returned",
          leaves: "left",
          drained: "drained",
          redirect_failed: "refused by the kernel",
        }),
      },
    ],
  },
  {
    title: "Splice guard and capacity",
    panels: [
      {
        ...{ kind: "tile", title: "Hosts without splice guard", width: 6, height: 8 },
        description: "A program that splices from a bypassed socket would hang there.",
        colors: [
          ["green", null],
          ["orange", 1],
        ],
        queries: [{ expr: "sum(1 - max by (job, instance) (socket_bypass_splice_guard{$H}))" }],
      },
      {
        ...{ kind: "graph", title: "Sockets left on TCP for programs that splice, per second", unit: "ops", width: 9 },
        description: "By program. The pods of a pool do not report this.",
        queries: [
          {
            expr: "sum by (program) (rate(socket_bypass_splicing_sockets_total{$H}[$__rate_interval]))",
            legend: "{{program}}",
          },
        ],
      },
      {
        ...{ kind: "graph", title: "Room used in the sockhash", unit: "percentunit", width: 9, max: 1 },
        description: "When it is full, new connections stay on TCP (limits.sockets).",
        queries: [
          {
            expr: "max by (instance) (socket_bypass_enrolled_sockets{$F} / socket_bypass_max_sockets{$F})",
            legend: "{{instance}}",
          },
        ],
      },
    ],
  },
  {
    title: "Hosts",
    panels: [
      {
        ...{ kind: "hosts", title: "Hosts", width: 24 },
        description: "An installation on each line.",
        queries: [
          { legend: "Healthy", expr: "max by (instance, exported_instance) (socket_bypass_healthy{$F})" },
          {
            legend: "Drained",
            expr: "max by (instance, exported_instance) (socket_bypass_draining{$F} and socket_bypass_serving{$F} == 1)",
          },
          { legend: "Bypassed", expr: share("by (instance, exported_instance) ") },
          {
            legend: "Messages/s",
            expr: `sum by (instance, exported_instance) (${rate("redirected_messages")})`,
          },
          {
            legend: "Connections",
            expr: "sum by (instance, exported_instance) (socket_bypass_enrolled_sockets{$F}) / 2",
          },
          {
            legend: "Room used",
            expr: "max by (instance, exported_instance) (socket_bypass_enrolled_sockets{$F} / socket_bypass_max_sockets{$F})",
          },
        ],
      },
    ],
  },
];
