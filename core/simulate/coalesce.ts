/** Of many steps the few that are worth a line. Pure. */

/** On one screen; a 20 MiB run takes some 320 steps. */
const ROWS = 16;

/**
 * @param scale bytes that are the whole.
 * Returned is whether usage has come into another sixteenth of it, up or down, since this was last true.
 */
export function createCoalescer(scale: number): (usage: number) => boolean {
  let row = 0;
  return (usage) => {
    // What wavers around a boundary is no news: it must get halfway into the neighbour below.
    const exact = usage / scale * ROWS;
    const moved = exact >= row + 1 || exact < row - 0.5;
    if (moved) row = Math.floor(exact);
    return moved;
  };
}
