// SPDX-License-Identifier: Apache-2.0

export const PULUMI_VERSION = "v3.259.0";
/** The version of @pulumi/command in package-lock.json: the engine asks for exactly this plugin. */
export const COMMAND_VERSION = "1.2.1";
/** The version of @pulumi/kubernetes in package-lock.json. */
export const KUBERNETES_PLUGIN_VERSION = "4.23.0";
/** The Kubernetes version of the tests. */
export const KUBERNETES_VERSION = "v1.34.1";
/** The oldest CLI with which the package works. */
export const OLDEST_PULUMI = [3, 182, 0];
/** The Go version that the go.mod files require. */
export const OLDEST_GO = [1, 25, 11];

const sdkVersion = (version) => `-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=${version}`;

const kubernetesVersion = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"]
  .flatMap((name) => [
    `-X ${name}.gitVersion=${KUBERNETES_VERSION}`,
    ...KUBERNETES_VERSION.slice(1)
      .split(".")
      .slice(0, 2)
      .map((number, i) => `-X ${name}.git${i === 0 ? "Major" : "Minor"}=${number}`),
    `-X ${name}.gitTreeState=clean`,
    `-X ${name}.gitCommit=${"0".repeat(40)}`,
    `-X ${name}.buildDate=1970-01-01T00:00:00Z`,
  ])
  .join(" ");

/**
 * The programs that are built from Go modules. `folder` holds go.mod and go.sum (default: the
 * folder beside this file with the same name). `package` is the argument of `go build`, and
 * `usually` the time on 2 cores with nothing cached. `embeds` names JSON files of a module that
 * main.go embeds; the first gets `version`. `beside` names a program of a module that the built
 * one looks for in its own folder.
 */
export const entries = {
  pulumi: {
    package: "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    tags: "osusergo,grpcnotrace",
    // Without a version the Automation API refuses the CLI.
    ldflags: sdkVersion(PULUMI_VERSION),
    usually: "4 to 5 minutes",
  },
  "pulumi-language-nodejs": {
    package: "github.com/pulumi/pulumi/sdk/nodejs/cmd/pulumi-language-nodejs/v3",
    tags: "osusergo,grpcnotrace",
    ldflags: sdkVersion("v3.184.0"),
    usually: "half a minute",
  },
  "pulumi-language-python": {
    package: "github.com/pulumi/pulumi/sdk/python/cmd/pulumi-language-python/v3",
    tags: "osusergo,grpcnotrace",
    ldflags: sdkVersion("v3.184.0"),
    beside: { module: "github.com/pulumi/pulumi/sdk/v3", file: "python/cmd/pulumi-language-python-exec" },
    usually: "half a minute",
  },
  "pulumi-language-go": {
    package: "github.com/pulumi/pulumi/sdk/go/pulumi-language-go/v3",
    tags: "osusergo,grpcnotrace",
    ldflags: sdkVersion("v3.184.0"),
    usually: "half a minute",
  },
  "pulumi-language-yaml": {
    package: "github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml",
    tags: "osusergo,grpcnotrace",
    ldflags: "-X github.com/pulumi/pulumi-yaml/pkg/version.Version=v1.25.0",
    usually: "two minutes",
  },
  "pulumi-resource-command": {
    package: ".",
    tags: "",
    ldflags: "",
    usually: "half a minute",
  },
  "pulumi-resource-kubernetes": {
    package: ".",
    tags: "",
    ldflags: `-X github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version.Version=${KUBERNETES_PLUGIN_VERSION}`,
    embeds: {
      module: "github.com/pulumi/pulumi-kubernetes/provider/v4",
      files: ["schema.json", "terraform-mapping.json"].map((file) => `cmd/pulumi-resource-kubernetes/${file}`),
      version: KUBERNETES_PLUGIN_VERSION,
    },
    usually: "4 minutes",
  },
  // All programs of Kubernetes, and etcd, in one binary, for test/e2e/kubernetes.
  kubernetes: {
    folder: "../../test/e2e/kubernetes/cluster/binary",
    package: ".",
    tags: "",
    ldflags: kubernetesVersion,
    usually: "5 minutes",
  },
};

/** The CLI looks for language hosts beside its own executable. */
export const cliEntries = ["pulumi", "pulumi-language-nodejs"];
/** The same with the language hosts of programs that are not in TypeScript. */
export const allLanguages = [...cliEntries, "pulumi-language-yaml", "pulumi-language-python", "pulumi-language-go"];
