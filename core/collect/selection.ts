/** Which cgroups have series of their own: `limited`: a limit applies to them; `near`: less than half of it is left. */
export const SELECTIONS = ["all", "limited", "near", "off"] as const;
export type Selection = (typeof SELECTIONS)[number];

export interface CollectOptions {
  readonly select: Selection;
  /** Of the selected ones, those with the smallest share of their limit left. */
  readonly max: number;
}
