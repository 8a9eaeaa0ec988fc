/** Exit statuses of the program. */

/** 0: fine; 1: what was asked about is not fine; 2: it could not be determined. */
export type ExitCode = number;

/** Called by a subcommand when it is done. */
export type Finish = (code: ExitCode) => void;

export const OK = 0;
export const NOT_OK = 1;
export const CANNOT_TELL = 2;
/** sysexits.h, EX_SOFTWARE: a bug. A supervisor may restart after it; after 2 that would not help. */
export const BUG = 70;
