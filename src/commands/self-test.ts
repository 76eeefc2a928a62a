// SPDX-License-Identifier: Apache-2.0

// Apart from the schema: whoever compiles against our declarations reads all that they import.

/** Whether the self-test of a host ran. */
export const SelfTestOutcome = {
  /** It ran, and every case passed; otherwise the step fails. */
  Passed: "passed",
  /** It did not run, because `selfTest.enabled` is false. */
  Off: "off",
} as const;

export type SelfTestOutcome = (typeof SelfTestOutcome)[keyof typeof SelfTestOutcome];

/** What the self-test of a host found. */
export interface SelfTestResult {
  /**
   * Whether it ran: "passed" or "off".
   */
  outcome: SelfTestOutcome;
  /**
   * Release of the kernel.
   */
  kernel: string;
  /**
   * Type of the machine, as `uname -m` says it there.
   */
  machine: string;
  /**
   * Connections of the self-test that were paired; 0 if it is off.
   */
  pairs: number;
  /**
   * Messages of the self-test that skipped the TCP/IP stack; 0 if it is off.
   */
  redirectedMessages: number;
  /**
   * How programs that splice are protected: "lsm", "fmod_ret", "syscall" or "none".
   */
  spliceGuard: string;
  /**
   * How this kernel behaves where a redirected socket may differ from TCP. Absent if the self-test
   * is off.
   */
  facts?: SelfTestFacts;
}

/**
 * How a kernel behaves where a redirected socket may differ from TCP. Each is absent if it could
 * not be measured. A word in capitals, such as "EAGAIN", is the error that the call returned. The
 * page behaviour.md says who notices.
 */
export interface SelfTestFacts {
  /**
   * FIONREAD for bytes that skipped the stack: "exact", "short" or "zero".
   */
  fionreadRedirected?: string;
  /**
   * FIONREAD for bytes that came over TCP: "exact", "short" or "zero".
   */
  fionreadTcp?: string;
  /**
   * `recv` with MSG_WAITALL: "waits" for all the bytes, "short" or "zero".
   */
  msgWaitall?: string;
  /**
   * `recv` with MSG_PEEK: "works", "short" or "zero".
   */
  msgPeek?: string;
  /**
   * `poll` with SO_RCVLOWAT: "waits" for that many bytes, or "ignored".
   */
  soRcvlowat?: string;
  /**
   * `splice` from the socket: "works", "short", "hangs", or "safe" (refused, as the splice guard
   * does).
   */
  splice?: string;
  /**
   * The same from a socket that does not block.
   */
  spliceNonblock?: string;
  /**
   * A byte sent with MSG_OOB: "urgent", "inband" or "lost".
   */
  oob?: string;
  /**
   * A `recv` that a signal interrupts: "restarts", "short" or "hangs".
   */
  recvSignal?: string;
  /**
   * A `recv` that is blocked while the peer resets: how it ends, or "hangs".
   */
  resetBlocked?: string;
  /**
   * `send` after `shutdown`: "sent", or the error.
   */
  sendAfterShutdown?: string;
  /**
   * A `recv` whose process is stopped and continued: "restarts", "short" or "hangs".
   */
  recvStopped?: string;
  /**
   * A `recv` that is blocked while its own end is shut down: how it ends, or "hangs".
   */
  recvShutdown?: string;
  /**
   * `recv` with MSG_TRUNC and no buffer: "discards" the bytes, or the error.
   */
  msgTrunc?: string;
  /**
   * MSG_PEEK after SO_PEEK_OFF: "works" or "ignored".
   */
  soPeekOff?: string;
  /**
   * What TCP_INQ says is left: "exact", "short", "zero" or "none".
   */
  tcpInq?: string;
  /**
   * Timestamps of received data: "arrive" or "none".
   */
  timestamps?: string;
  /**
   * What TCP_ZEROCOPY_RECEIVE finds: "exact", "short" or "zero".
   */
  zerocopyReceive?: string;
  /**
   * What a reader gets when the peer resets: the error, or "EOF".
   */
  reset?: string;
  /**
   * What a peer gets when a socket is closed with unread bytes: the error, or "EOF".
   */
  closeUnread?: string;
  /**
   * Rounds of the cases that count wake-ups.
   */
  rounds?: number;
  /**
   * Rounds in which edge-triggered epoll woke the reader.
   */
  epollEdgeWoken?: number;
  /**
   * Rounds in which `poll` woke the reader.
   */
  pollWoken?: number;
  /**
   * Rounds in which a blocked `recv` was woken.
   */
  recvWoken?: number;
  /**
   * Calls that returned EAGAIN although data was there.
   */
  spuriousEagain?: number;
}
