# SPDX-License-Identifier: Apache-2.0
# Lets TCP between two sockets of this machine skip the TCP/IP stack.
import pulumi
from pulumi_socket_bypass import HostArgs, SocketBypass, TrafficArgs

config = pulumi.Config()
state_dir = config.get("stateDir")

edge = SocketBypass(
    "edge",
    hosts={"here": HostArgs(local=True, state_dir=state_dir)},
    cgroup=config.get("cgroup"),
    traffic=TrafficArgs(ports=config.get_object("ports") or [6379]),
)

pulumi.export("generation", edge.generation)
pulumi.export("kernel", edge.hosts["here"].self_test.kernel)
