/** Loaded only for `--licenses`. */

export { default as NOTICES } from "../THIRD_PARTY_NOTICES" with { type: "text" };
