// SPDX-License-Identifier: Apache-2.0

/** Where things are in the virtual machine. */
export interface Place {
  readonly folder: string;
  /** Of the loopback: where the relay listens, and where its service does. */
  readonly front: number;
  readonly back: number;
}

export interface Program {
  /** In the table; the version of `package` follows it. */
  readonly name: string;
  /** Of Debian. */
  readonly package?: string;
  /** Words of the shell that become the relay; a file `CONFIG` has the text of `config`. */
  readonly command: (place: Place) => string;
  readonly config?: (place: Place) => string;
  /** By its first connection: until then another program listens for it. */
  readonly isStartedLate?: boolean;
  /** Half-closed connections are not its thing on plain TCP either. */
  readonly endsBoth?: boolean;
  /**
   * Where a side shuts its direction down; HAProxy that splices does so by plain TCP too, in one
   * run of three on a busy processor.
   */
  readonly mayEndEarly?: boolean;
  /** Whether what becomes of it on that kernel is a limit that docs/reference/software.md has. */
  readonly isLimit?: (release: string) => boolean;
  /** A way of the splice guard that does not see how it splices. */
  readonly unseenBy?: string;
}

/** Of Debian, for the virtual machines. */
export const packages = ["haproxy", "libnginx-mod-stream", "nginx", "socat"];

/** Of Debian, or built from its sources in that version. */
const haproxy = (option: string, version?: string, more: Partial<Program> = {}): Program => ({
  name: `HAProxy${version === undefined ? "" : ` ${version}`}, ${option === "" ? "without splice" : `\`${option.replaceAll("option ", "")}\``}${more.endsBoth ? ", no half close" : ""}`,
  ...(version === undefined ? { package: "haproxy" } : {}),
  command: ({ folder }) =>
    `${version === undefined ? "haproxy" : `${folder}/haproxy-${version}/haproxy`} -db -q -f CONFIG`,
  config: ({ front, back }) => `global
 maxconn 100
 maxpipes 50
defaults
 mode tcp
 timeout connect 60s
 timeout client 600s
 timeout server 600s
${option
  .split(", ")
  .map((line) => ` ${line}\n`)
  .join("")}listen proxy
 bind 127.0.0.1:${front}
 server one 127.0.0.1:${back}
`,
  ...more,
});

const go = (version: string): Program => ({
  name: `Go ${version}, \`io.Copy\``,
  // From 1.24 on Go listens for MPTCP, whose sockets are never enrolled.
  command: ({ folder, front, back }) =>
    `env GODEBUG=multipathtcp=0 ${folder}/go-${version} tcp 127.0.0.1:${front} 127.0.0.1:${back}`,
});

const c = (name: string, words: string, more: Partial<Program> = {}): Program => ({
  name: `C, ${name}`,
  ...more,
  command: ({ folder, front, back }) => `${folder}/relay ${front} ${back} ${words}`,
});

const singBox = (version: string): Program => ({
  name: `sing-box ${version}, in Go`,
  command: ({ folder }) => `env GODEBUG=multipathtcp=0 ${folder}/sing-box-${version}/sing-box run -c CONFIG`,
  config: ({ front, back }) =>
    JSON.stringify({
      log: { level: "error" },
      inbounds: [
        {
          ...{ type: "direct", listen: "127.0.0.1", listen_port: front, network: "tcp" },
          ...{ override_address: "127.0.0.1", override_port: back },
        },
      ],
      outbounds: [{ type: "direct" }],
    }),
});

const envoy = (version: string): Program => {
  const socket = (port: number) => ({ address: { socket_address: { address: "127.0.0.1", port_value: port } } });
  return {
    name: `Envoy ${version}, \`tcp_proxy\``,
    command: ({ folder }) =>
      `${folder}/envoy-${version}/envoy --config-yaml "$(cat CONFIG)" --concurrency 1 --disable-hot-restart -l error`,
    config: ({ front, back }) => {
      const type = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
      const proxy = { name: "tcp", typed_config: { "@type": type, stat_prefix: "tcp", cluster: "one" } };
      const endpoints = [{ lb_endpoints: [{ endpoint: socket(back) }] }];
      return JSON.stringify({
        static_resources: {
          listeners: [{ ...socket(front), filter_chains: [{ filters: [proxy] }] }],
          clusters: [{ name: "one", connect_timeout: "60s", load_assignment: { cluster_name: "one", endpoints } }],
        },
      });
    },
  };
};

/** Versions of what was built for one processor. */
export interface Built {
  readonly goes: readonly string[];
  readonly haproxies: readonly string[];
  readonly singBox?: string | undefined;
  readonly envoy?: string | undefined;
}

/** In order of the table. */
export function programs({ goes, haproxies, singBox: box, envoy: proxy }: Built): readonly Program[] {
  return [
    ...goes.map(go),
    ...(box === undefined ? [] : [singBox(box)]),
    ...(proxy === undefined ? [] : [envoy(proxy)]),
    haproxy(""),
    ...[undefined, ...haproxies].flatMap((version) =>
      ["option splice-auto", "option splice-request, option splice-response"].flatMap((option) => [
        haproxy(option, version, { mayEndEarly: true }),
        haproxy(option, version, { endsBoth: true }),
      ]),
    ),
    {
      name: "socat",
      package: "socat",
      command: ({ front, back }) =>
        `socat -t 600 TCP-LISTEN:${front},reuseaddr,fork,nodelay TCP:127.0.0.1:${back},nodelay`,
    },
    {
      name: "nginx, `stream`",
      package: "nginx",
      // It believes FIONREAD, which leaves out there what was redirected.
      isLimit: (release) => /^(5|6\.1)\./.test(release),
      command: () => "nginx -c CONFIG",
      config: ({ front, back }) => `load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
master_process off;
user root;
pid /dev/null;
error_log stderr;
events { worker_connections 100; }
stream {
 server {
  listen 127.0.0.1:${front};
  proxy_pass 127.0.0.1:${back};
  proxy_half_close on;
 }
}
`,
    },
    {
      name: "systemd-socket-proxyd, no half close",
      package: "systemd",
      command: ({ front, back }) =>
        `systemd-socket-activate -l 127.0.0.1:${front} /lib/systemd/systemd-socket-proxyd 127.0.0.1:${back}`,
      endsBoth: true,
      isStartedLate: true,
    },
    {
      name: "Python, `os.splice`",
      package: "python3",
      command: ({ folder, front, back }) => `env PYTHONPATH=${folder} python3 -B ${folder}/relay.py ${front} ${back}`,
    },
    c("blocks in splice", "splice"),
    c("splice and poll", "splice poll"),
    c("`sendfile` to a pipe", "sendfile"),
    c("splice by io_uring", "ring", { unseenBy: "syscall" }),
    c("receives, then splices; receives where refused", "splice late copes"),
    c("the same with poll", "splice poll late copes"),
    c("receives, then sends by `sendfile`; receives where refused", "sendfile late copes"),
    c("receives, then splices by io_uring; receives where refused", "ring late copes", { unseenBy: "syscall" }),
    c("receives, then splices by turns; receives where refused", "splice poll late mixed copes"),
    c("receives, then splices, and knows no other way", "splice late", { isLimit: () => true }),
  ];
}
