/**
 * Joins the OOM killer's lines that the kernel writes in several pieces: each path is one of its own (pr_cont_cgroup_path). They become
 * lines or records of their own if the whole exceeds a record, or if another CPU logs between two of them. Pure.
 */

import { parseOomMessage } from "./oom_message.ts";

/**
 * A summary has two paths of at most 4095 bytes (PATH_MAX). More is not the kernel's, and would take long to parse: the parser tries
 * every place where a path may end.
 */
export const MAX_MESSAGE_CHARACTERS = 16 * 1024;

const STARTS = /^(?:oom-kill:|Tasks? in )/;
const CONTINUES = /^(?:[,/]| killed as a result| are going to be killed)/;
const IS_CUT =
  /^(?:oom-kill:|Tasks? in \/|(?:Memory cgroup out|Out) of memory[^:]*: Kill|Killed process \d)/;
/** Lines of other CPUs between two pieces. */
const MAX_LINES_BETWEEN = 16;

const isAboutOom = (message: string) =>
  STARTS.test(message) || IS_CUT.test(message) || parseOomMessage(message) !== undefined;

export class OomPieces {
  /** Lines of the OOM killer of which the rest is missing or not understood. */
  cut = 0;
  /** The last message, even if it can be parsed as it is: a path may continue. */
  #begun: string | undefined;
  #isOpen = false;
  #linesBetween = 0;

  /** A line has begun but not ended: a later one may be its rest, also without a marker. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /**
   * @param continuation the kernel marks the message as the rest of the record before.
   * @returns the message with what it continues.
   */
  join(message: string, continuation = false): string {
    const begun = this.#begun;
    if (begun !== undefined && this.#isRest(message, continuation)) {
      if (begun.length + message.length <= MAX_MESSAGE_CHARACTERS) {
        return this.#keep(begun + message);
      }
      this.end();
      return message;
    }
    if (this.#isOpen) {
      if (this.#linesBetween < MAX_LINES_BETWEEN && !isAboutOom(message)) {
        this.#linesBetween += 1;
        return message;
      }
      this.cut += 1;
    }
    return this.#keep(message);
  }

  /** To be called after the last line of a boot. */
  end(): void {
    if (this.#isOpen) this.cut += 1;
    this.#begun = undefined;
    this.#isOpen = false;
  }

  #isRest(message: string, continuation: boolean): boolean {
    // With lines between, a mark may be about one of those.
    if (continuation && this.#linesBetween === 0) return true;
    return (this.#isOpen || continuation) && CONTINUES.test(message) &&
      parseOomMessage(message) === undefined;
  }

  #keep(message: string): string {
    const isWhole = parseOomMessage(message) !== undefined;
    this.#begun = message;
    this.#isOpen = !isWhole && STARTS.test(message);
    this.#linesBetween = 0;
    if (!isWhole && !this.#isOpen && IS_CUT.test(message)) this.cut += 1;
    return message;
  }
}
