// SPDX-License-Identifier: Apache-2.0

/** A raw terminal sends no signal for it. */
const ctrlC = "\u0003";

/** The terminal, which is as before once it is closed, also when a signal ends us. */
export class Screen {
  private isOpen = true;
  private readonly onData: (data: Buffer) => void;
  private readonly onSignal = (signal: NodeJS.Signals) => {
    this.close();
    // The default action of the signal, so that who waits for us sees what ended us.
    process.kill(process.pid, signal);
  };

  /** Gives nothing where there is no terminal. `quit` is called at q and Ctrl-C. */
  static open(quit: () => void): Screen | undefined {
    if (!process.stdout.isTTY || !process.stdin.isTTY || (process.env.TERM ?? "dumb") === "dumb") return undefined;
    return new Screen(quit);
  }

  private constructor(quit: () => void) {
    this.onData = (data) => {
      if (["q", "Q", ctrlC].some((key) => data.includes(key))) quit();
    };
    process.stdin.setRawMode(true);
    process.stdin.on("data", this.onData).resume();
    for (const signal of ["SIGTERM", "SIGHUP", "SIGINT"] as const) process.once(signal, this.onSignal);
    process.once("exit", () => this.close());
    process.stdout.write("\u001b[?1049h\u001b[?25l");
  }

  get columns(): number {
    return process.stdout.columns || 80;
  }

  get rows(): number {
    return process.stdout.rows || 24;
  }

  draw(lines: readonly string[]): void {
    process.stdout.write(`\u001b[H${lines.map((line) => `${line}\u001b[K`).join("\r\n")}\u001b[J`);
  }

  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    process.stdin.off("data", this.onData).pause();
    process.stdin.setRawMode(false);
    process.stdout.write("\u001b[?25h\u001b[?1049l");
    for (const signal of ["SIGTERM", "SIGHUP", "SIGINT"] as const) process.off(signal, this.onSignal);
  }
}
