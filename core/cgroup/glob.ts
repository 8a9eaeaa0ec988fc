/** Globs over cgroup paths: `*` and `?` stay within one name, `**` goes to any depth, `[abc]` is a set. Pure. */

export function isGlob(text: string): boolean {
  return /[*?[]/.test(text);
}

/** What matches any part of a name, `[^/]*`; what goes over names: to whole ones, or to at least one character. */
type Gap = "star" | "names" | "any";

/** What matches one character after the other, and the gap before it. */
interface Piece {
  readonly after: Gap | undefined;
  source: string;
}

/**
 * A pattern for whole paths. `/a/**` matches everything beneath `/a`, but not `/a` itself.
 *
 * Who names cgroups must not be able to hold up who looks at them: a piece between two gaps is taken where it fits first, for
 * good. What could fit further on has no more before it, and the gap behind reaches all that it would from there: a star's
 * within the name, and one over names, if all up to it is taken for good as one. So the time is that of the glob's length
 * times the path's.
 */
export function globToRegExp(glob: string): RegExp {
  const [first = [], ...deeper] = runsOf(piecesOf(glob));
  const runs = [first, ...deeper];
  let groups = 0;
  const once = (source: string) => `(?=(?<g${++groups}>${source}))\\k<g${groups}>`;
  const sources = runs.map((run, at) => {
    const isLast = at === runs.length - 1;
    const source = run.map(({ after, source }, at) => {
      const fitted = `${after ? GAPS[after] : ""}${source}`;
      return after === "star" && !(isLast && at === run.length - 1) ? once(fitted) : fitted;
    }).join("");
    return at === 0 || isLast ? source : once(source);
  });
  return new RegExp(`^${sources.join("")}$`, "su");
}

const GAPS = { star: "[^/]*?", names: "(?:[^/]+/)*?", any: ".+?" } as const;

function piecesOf(glob: string): Piece[] {
  const pieces: Piece[] = [{ after: undefined, source: "" }];
  const add = (source: string) => void (pieces.at(-1)!.source += source);
  for (let at = 0; at < glob.length; at++) {
    const rest = glob.slice(at);
    const set = /^\[([!^]?)([^\]/]+)\]/.exec(rest);
    if (rest.startsWith("**/") && (at === 0 || glob[at - 1] === "/")) {
      pieces.push({ after: "names", source: "" });
      at += 2;
    } else if (rest.startsWith("**")) {
      pieces.push({ after: "any", source: "" });
      at += 1;
    } else if (rest.startsWith("*")) {
      pieces.push({ after: "star", source: "" });
    } else if (rest.startsWith("?")) {
      add("[^/]");
    } else if (set) {
      add(set[1] ? `[^/${membersOf(set[2]!)}]` : `(?!/)[${membersOf(set[2]!)}]`);
      at += set[0].length - 1;
    } else {
      add(rest[0]!.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
    }
  }
  return pieces;
}

/** Parted where a gap goes over names. */
function runsOf(pieces: readonly Piece[]): Piece[][] {
  const runs: Piece[][] = [];
  for (const piece of pieces) {
    if (piece.after === "star") runs.at(-1)!.push(piece);
    else runs.push([piece]);
  }
  return runs;
}

/** A range that ends before it begins has nothing in it, as for a shell. */
function membersOf(set: string): string {
  const literal = (char: string) => char.replace(/[\\\[\]^-]/, "\\$&");
  return set.replace(/(.)-(.)|./gsu, (each, from?: string, to?: string) => {
    if (from === undefined || to === undefined) return literal(each);
    return from.codePointAt(0)! > to.codePointAt(0)! ? "" : `${literal(from)}-${literal(to)}`;
  });
}

/** How deep beneath the root a match can lie, so that a search need not go further. */
export function globDepth(glob: string): number {
  return glob.includes("**") ? Infinity : glob.split("/").filter((name) => name !== "").length;
}

/** The names before the first wildcard: where a search begins. */
export function globBase(glob: string): string {
  const names = glob.split("/");
  const first = names.findIndex(isGlob);
  return names.slice(0, first).join("/") || "/";
}
