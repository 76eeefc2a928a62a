// SPDX-License-Identifier: Apache-2.0

/** Files with comments that are too wide, and how many of them: a list that only may shrink. */
export const longCommentsIn: Readonly<Record<string, number>> = {
  "examples/large-fleet/index.ts": 1,
  "host/pod/pod.sh": 3,
  "test/e2e/kubernetes/cluster/binary/main.go": 1,
  "test/e2e/kubernetes/cluster/cluster.sh": 3,
  "test/e2e/ssh/far.sh": 1,
  "test/e2e/vm/join.sh": 1,
  "test/kernels/guest.sh": 1,
  "test/kernels/image.sh": 7,
  "test/splice/ends.c": 2,
  "test/splice/run.ts": 2,
  "test/tools/run-tests.test.ts": 1,
  "tools/pulumi/pulumi-resource-command/main.go": 4,
  "tools/pulumi/pulumi-resource-kubernetes/main.go": 1,
  "tools/setup/prepare.sh": 1,
};
