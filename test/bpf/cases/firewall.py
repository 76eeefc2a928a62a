# SPDX-License-Identifier: Apache-2.0
"""What happens to an open connection when a firewall rule is added that drops its packets."""
import select
import time

from common import NOISE, call, equal, exchange, new_namespace, pair, receive, report_line

MESSAGES = 400  # one every 50 ms: far longer than the window of the test


def late_rule(follow=""):
    """
    Gives whether the rule cuts the first message after it, and whether it cuts a later one; checks
    that none is lost once the rule is gone. With `follow` the test does something between the rule
    and the first message.
    """
    new_namespace()
    client, server = pair()
    exchange(client, server, 5)
    client.settimeout(None)
    call("nft add table inet late")
    call("nft add chain inet late input { type filter hook input priority 0 ; }")
    call(f"nft add rule inet late input tcp dport {server.getsockname()[1]} drop")
    if follow:
        report_line()
    arrived = 0
    while arrived < MESSAGES and passes(client, server, arrived):
        arrived += 1
        time.sleep(0.05)
    found = {"first": "arrives" if arrived else "cut", "later": "arrives" if arrived == MESSAGES else "cut"}
    if found["later"] == "cut":
        call("nft delete table inet late")
        equal(receive(server, 100), message(arrived), "what the rule held back")
    exchange(client, server)
    return found


def message(number):
    return NOISE[number : number + 100]


def passes(client, server, number):
    client.sendall(message(number))
    if not select.select([server], [], [], 1)[0]:
        return False
    equal(receive(server, 100), message(number), f"message {number}")
    return True
