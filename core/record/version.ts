/** The version of the format of recordings. Pure. */

/** Rises with every incompatible change; new fields and new types are compatible. */
export const RECORDING_VERSION = 2;
