/** Events that repeat each other, counted together; those that have been quiet for longest are forgotten first. */

export interface Tallies<T extends Countable> {
  get(key: string): T | undefined;
  /** False when there is no room, since all have something to tell still. */
  add(key: string, tally: T): boolean;
  /** It has just been counted. */
  touch(key: string, tally: T): void;
  remove(key: string): void;
  all(): Iterable<T>;
  readonly size: number;
}

export interface Countable {
  /** Events. */
  readonly count: number;
  /** Of them, those that the server knows of. */
  readonly sent: number;
}

export function makeTallies<T extends Countable>(most: number): Tallies<T> {
  /** In the order in which they were last counted. */
  const tallies = new Map<string, T>();
  const makeRoom = () => {
    if (tallies.size < most) return true;
    for (const [key, { count, sent }] of tallies) {
      if (count === sent) return tallies.delete(key);
    }
    return false;
  };
  return {
    get: (key) => tallies.get(key),
    add(key, tally) {
      if (!makeRoom()) return false;
      tallies.set(key, tally);
      return true;
    },
    touch(key, tally) {
      tallies.delete(key);
      tallies.set(key, tally);
    },
    remove: (key) => void tallies.delete(key),
    all: () => tallies.values(),
    get size() {
      return tallies.size;
    },
  };
}
