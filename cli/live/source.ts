/** What the live view shows: cgroups that are watched or guarded now, or a recording. */

import type { OomkitEvent } from "../../core/events/event.ts";
import { exactTime } from "../output/event_text.ts";
import { Poller, type Subject } from "./poll.ts";
import type { Replay } from "./replay.ts";
import type { Row } from "./rows.ts";
import type { Details, GuardFacts, ReplayCommand, View } from "./view.ts";

export interface Source {
  /** Resolves to the milliseconds until the next round. */
  round(view: View): Promise<number>;
  rows(): readonly Row[];
  /** The rows with what is read only for those on the screen. */
  readShown(rows: readonly Row[]): Row[];
  details(before: Details): Details;
  count(event: OomkitEvent): void;
  /** The parts of the view that it decides on. @param maxEntries of the log */
  facts(maxEntries: number): Partial<View>;
  /** Moves in a recording. Returns the cgroup to select. */
  control?(command: ReplayCommand): string | undefined;
}

export class CgroupSource extends Poller implements Source {
  constructor(subjects: () => Iterable<Subject>, private readonly guardFacts?: () => GuardFacts) {
    super(subjects, () => performance.now());
  }

  facts(): Partial<View> {
    return { totals: this.totals, machine: this.machine, guard: this.guardFacts?.() };
  }
}

const FRAME_MS = 200;
/** Only keys change what is shown. */
const PAUSED_MS = 60_000;

export class ReplaySource implements Source {
  #advancedAt = performance.now();

  constructor(private readonly replay: Replay) {}

  round(): Promise<number> {
    const now = performance.now();
    this.replay.advance(now - this.#advancedAt);
    this.#advancedAt = now;
    return Promise.resolve(this.replay.isPlaying ? FRAME_MS : PAUSED_MS);
  }

  rows(): readonly Row[] {
    return this.replay.rows();
  }

  readShown(rows: readonly Row[]): Row[] {
    return [...rows];
  }

  details(before: Details): Details {
    return before;
  }

  count(): void {}

  facts(maxEntries: number): Partial<View> {
    const { replay } = this;
    const facts = replay.facts();
    return {
      replay: facts,
      totals: replay.totals,
      log: replay.log(maxEntries),
      clock: exactTime(new Date(facts.at)),
    };
  }

  control(command: ReplayCommand): string | undefined {
    this.#advancedAt = performance.now();
    return this.replay.control(command);
  }
}
