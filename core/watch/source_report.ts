/** Which sources a watch uses, and what stands in for those that are not available: for the start-up line and as events. */

import type { EmitBody } from "./options.ts";

export class SourceReport {
  readonly #sources = new Set<string>();
  readonly #fallbacks = new Map<string, string>();

  constructor(private readonly emit: EmitBody) {}

  /** @param source such as `events: inotify on memory.events`. */
  add(source: string): void {
    this.#sources.add(source);
  }

  /** Reports the same lack for the same reason only once, whatever the number of cgroups. */
  reportFallback(cgroup: string, requested: string, fallback: string, reason: string): void {
    const key = `${requested} ${reason}`;
    if (this.#fallbacks.has(key)) return;
    this.#fallbacks.set(key, `${requested} unavailable: ${fallback} (${reason})`);
    this.emit(cgroup, "none", { type: "degraded", requested, fallback, reason });
  }

  /** One line for each source, with all its files: `events: inotify on memory.events, memory.max`; then the fallbacks. */
  lines(): string[] {
    const files = new Map<string, string[]>();
    for (const line of this.#sources) {
      const [source, file] = line.split(" on ", 2);
      files.set(source!, [...files.get(source!) ?? [], ...file === undefined ? [] : [file]]);
    }
    const sources = [...files].map(([source, names]) =>
      names.length === 0 ? source : `${source} on ${names.join(", ")}`
    );
    return [...sources, ...this.#fallbacks.values()];
  }
}
