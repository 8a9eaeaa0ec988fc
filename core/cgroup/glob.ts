/** Globs over cgroup paths: `*` and `?` stay within one name, `**` goes to any depth, `[abc]` is a set. Pure. */

export const isGlob = (text: string): boolean => /[*?[]/.test(text);

/** `star` matches within a name; `names` matches whole names, `any` at least one character across names. */
type Gap = "star" | "names" | "any";

/** A source that matches a fixed number of characters, and the gap before it. */
interface Piece {
  readonly after: Gap | undefined;
  source: string;
}

/**
 * A pattern for whole paths. `/a/**` matches everything below `/a`, but not `/a` itself.
 *
 * A cgroup's name must not be able to make the match slow. So a piece between two gaps takes the first position where it fits
 * and never backtracks: a later position would leave less for the following gap, which can cover the difference itself. That
 * holds for a star within its name, and for a gap across names if everything before it is one atomic group. The time is
 * bounded by the glob's length times the path's.
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

/** Splits the pieces at gaps that span names. */
function runsOf(pieces: readonly Piece[]): Piece[][] {
  const runs: Piece[][] = [];
  for (const piece of pieces) {
    if (piece.after === "star") runs.at(-1)!.push(piece);
    else runs.push([piece]);
  }
  return runs;
}

/** A range that ends before it begins is empty, as in a shell. */
function membersOf(set: string): string {
  const literal = (char: string) => char.replace(/[\\\[\]^-]/, "\\$&");
  return set.replace(/(.)-(.)|./gsu, (each, from?: string, to?: string) => {
    if (from === undefined || to === undefined) return literal(each);
    return from.codePointAt(0)! > to.codePointAt(0)! ? "" : `${literal(from)}-${literal(to)}`;
  });
}

/** The greatest depth below the root at which a match can be. */
export const globDepth = (glob: string): number =>
  glob.includes("**") ? Infinity : glob.split("/").filter((name) => name !== "").length;

/** The path before the first wildcard, at which a search begins. */
export function globBase(glob: string): string {
  const names = glob.split("/");
  const first = names.findIndex(isGlob);
  return names.slice(0, first).join("/") || "/";
}
