import config from "../deno.json" with { type: "json" };

/** How the executable was built; `scripts/build/compile.ts` hands it to `main`. */
export interface BuildInfo {
  /** Abbreviated, "-dirty" where the tree had changes. */
  readonly commit: string;
  /** The source of the runtime base; only "official" may be released. */
  readonly denort: "official" | "DENORT_BIN" | "npm";
  readonly target: string;
  readonly deno: string;
}

export const VERSION = config.version;

let commit: string | undefined;

export function setBuild(build: BuildInfo | undefined): void {
  commit = build?.commit;
}

/** `undefined` when it runs from source. */
export const buildCommit = (): string | undefined => commit;

/** Of the requests to webhooks and to the API server. */
export const USER_AGENT = `oomkit/${VERSION}`;

export function versionText(build: BuildInfo | undefined): string {
  if (build === undefined) {
    return `oomkit ${VERSION} (from source, Deno ${Deno.version.deno}, ${Deno.build.target})`;
  }
  const base = build.denort === "official"
    ? ""
    : `, runtime base from ${build.denort}: not for release`;
  return `oomkit ${VERSION} (${build.commit}, Deno ${build.deno}, ${build.target}${base})`;
}
