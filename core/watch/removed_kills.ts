/**
 * Kills in removed cgroups. Their own counters are gone, but their parent's (v2 `memory.events`) keeps counting the whole
 * subtree: what neither the parent itself nor its living children account for happened in removed ones. That is one sum
 * for all removed children, so it is kept as one account for each parent, from which each kill is taken once it is reported.
 */

import { type Cgroup, childrenOf, readCounters } from "../cgroup/cgroup.ts";
import { unlessRefused } from "../cgroup/files.ts";
import type { Counters } from "../snapshot.ts";

export interface RemovedChildrenKills {
  /** Kills that no counter has shown and no event reported; negative while a kill was reported before its cgroup was read. */
  unreported(): bigint;
  markReported(kills: bigint): void;
}

/** A removed cgroup, as far as its kills are accounted for. */
export interface RemovedChild {
  readonly cgroup: Cgroup;
  readonly removedKills: RemovedChildrenKills;
  readonly representsSubtree: boolean;
  readonly last: { readonly local: Counters; readonly subtree: Counters };
  /** Kills reported before its counter showed them. */
  readonly ahead: bigint;
}

/** The account of one parent. */
class Account implements RemovedChildrenKills {
  /** Kills that were read of children removed since then. */
  readBefore = 0n;
  balance = 0n;
  /** The account that continues this one after the parent's removal. */
  successor: Account | undefined;

  /**
   * @param initialTotal the parent's count when the watch began: while it has not risen, no child can have had a kill.
   * @param inRemoved kills in removed children, as last calculated.
   */
  constructor(
    readonly parent: Cgroup,
    private readonly initialTotal: bigint,
    public inRemoved: bigint,
  ) {}

  get current(): Account {
    return this.successor?.current ?? this;
  }

  unreported(): bigint {
    return this.current.balance;
  }

  markReported(kills: bigint): void {
    this.current.balance -= kills;
  }

  /** Reads the parent again. False when it could not be read. */
  update(): boolean {
    const isUnchanged = totalOf(this.parent) === this.initialTotal;
    const inRemoved = isUnchanged
      ? this.inRemoved + this.readBefore
      : tryKillsInRemovedChildren(this.parent);
    if (inRemoved === undefined) return false;
    this.balance += inRemoved - this.inRemoved - this.readBefore;
    this.inRemoved = inRemoved;
    this.readBefore = 0n;
    return true;
  }
}

/** By inode, so that a cgroup created again at the same path has its own account. */
const keyOf = (parent: Cgroup) => `${parent.inode} ${parent.path}`;

/** The accounts of all parents of watched cgroups. */
export class RemovedKillCounts {
  readonly #accounts = new Map<string, Account>();
  readonly #byPath = new Map<string, Account>();
  readonly #outdated = new Set<Account>();

  /**
   * Must be called before a child of `parent` may be removed. `undefined` where no parent counts: on v1, at the root, and where
   * its counters or those of one of its children may not be read.
   *
   * @param isNew created while it was watched, so that none of its removed children is known yet.
   */
  accountOf(parent: Cgroup | undefined, isNew = false): RemovedChildrenKills | undefined {
    if (parent === undefined || !parent.hierarchy.version.countsSubtree) return undefined;
    const known = this.#accounts.get(keyOf(parent));
    if (known) return known;
    const total = isNew ? 0n : totalOf(parent);
    const inRemoved = tryKillsInRemovedChildren(parent);
    if (inRemoved === undefined || total === undefined) return undefined;
    const account = new Account(parent, total, isNew ? 0n : inRemoved);
    this.#accounts.set(keyOf(parent), account);
    this.#byPath.set(parent.path, account);
    return account;
  }

  /** A watched child was removed: what was read of it, or reported ahead of its counter, is not unreported. */
  childRemoved({ cgroup, removedKills, representsSubtree, last, ahead }: RemovedChild): void {
    const account = (removedKills as Account).current;
    const own = representsSubtree ? undefined : this.#accounts.get(keyOf(cgroup));
    account.balance -= ahead;
    account.readBefore += own && last.local.oomKill !== undefined
      ? last.local.oomKill + own.inRemoved
      : last.subtree.oomKill ?? 0n;
    if (own) this.#transfer(own, account);
    if (this.#isKept(account)) this.#outdated.add(account);
  }

  #isKept(account: Account): boolean {
    return this.#accounts.get(keyOf(account.parent)) === account;
  }

  #transfer(account: Account, successor: Account): void {
    successor.balance += account.balance - account.readBefore;
    account.successor = successor;
    this.forget(account.parent);
  }

  /** A cgroup was removed, or its account is continued: it cannot be read again. */
  forget(parent: Cgroup): void {
    const account = this.#accounts.get(keyOf(parent));
    if (account === undefined) return;
    this.#outdated.delete(account);
    this.#accounts.delete(keyOf(parent));
    if (this.#byPath.get(parent.path) === account) this.#byPath.delete(parent.path);
  }

  /** A child of `parent` that is not watched was removed, while every watched one is still there. */
  ignoreRemoval(parent: Cgroup): void {
    const account = this.#accounts.get(keyOf(parent));
    if (account === undefined || account.readBefore !== 0n || this.#outdated.has(account)) return;
    account.inRemoved = tryKillsInRemovedChildren(parent) ?? account.inRemoved;
  }

  /** `kills` were reported in the cgroup at `path` before it was read; negative when its counter has shown them since. */
  reportedAhead(path: string, kills: bigint): void {
    const names = path.split("/");
    while (names.length > 1) {
      names.pop();
      const account = this.#byPath.get(names.join("/") || "/");
      if (account === undefined) continue;
      account.balance -= kills;
      return;
    }
  }

  /**
   * Reads the parents of removed cgroups. An unnoticed removal of a child would look like unreported kills:
   * `markRemovedBelow` marks all removed cgroups below a parent, which is then read again.
   */
  update(markRemovedBelow: (parent: Cgroup) => void): void {
    const unread: Account[] = [];
    // `markRemovedBelow` may add the account again; it is updated again in the next round.
    for (let [account] = this.#outdated; account; [account] = this.#outdated) {
      this.#outdated.delete(account);
      if (account.update()) markRemovedBelow(account.parent);
      else unread.push(account);
    }
    for (const account of unread) if (this.#isKept(account)) this.#outdated.add(account);
  }
}

/** Counters are read one after another; a kill in between would shift the sum, so the parent's must not change meanwhile. */
const MAX_READS = 5;

const tryKillsInRemovedChildren = (parent: Cgroup): bigint | undefined =>
  unlessRefused(() => killsInRemovedChildren(parent));

const totalOf = (parent: Cgroup): bigint | undefined =>
  unlessRefused(() => readCounters(parent))?.subtree.oomKill;

function killsInRemovedChildren(parent: Cgroup): bigint | undefined {
  for (let reads = 0; reads < MAX_READS; reads++) {
    const before = readCounters(parent);
    const total = before?.subtree.oomKill;
    const own = before?.local.oomKill;
    if (total === undefined || own === undefined) return undefined;
    const living = childrenOf(parent)
      .map((child) => readCounters(child)?.subtree.oomKill ?? 0n)
      .reduce((sum, kills) => sum + kills, 0n);
    if (readCounters(parent)?.subtree.oomKill === total) return total - own - living;
  }
  return undefined;
}
