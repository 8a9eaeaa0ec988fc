/** Exit statuses of oomkit; `watch -- command` exits with the status of the command instead. */

export type ExitCode = number;

/** Called by a subcommand when it is done. */
export type Finish = (code: ExitCode) => void;

export const OK = 0;
/** A check failed, an expected outcome did not occur, a running guard broke off, or none runs. */
export const NOT_OK = 1;
/** Wrong usage, or something could not be read or determined. */
export const ERROR = 2;
/** EX_SOFTWARE of sysexits.h. A supervisor may restart oomkit after a bug; after status 2 that is useless. */
export const BUG = 70;
