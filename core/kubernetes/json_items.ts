/** A list of Kubernetes objects, read while it comes in: never more of it at once than one object. */

export interface ItemSplitter {
  /** @throws {Error} when one object, or all that is around them, is longer than it may be. */
  push(text: string): void;
  /** The list without its items, to be parsed. */
  end(): string;
}

const ITEMS = /"items"\s*:\s*\[$/;

/**
 * @param most characters of one item.
 * @param take is given each item of the list's array `items`, as JSON.
 */
export function openItemSplitter(most: number, take: (item: string) => void): ItemSplitter {
  let depth = 0;
  let inString = false;
  let escaped = false;
  let inItems = false;
  let item = "";
  let around = "";

  const keep = (text: string) => {
    if (inItems) item += text;
    else around += text;
    if (item.length > most || around.length > most) {
      throw new Error(`one object in its answer is longer than ${most} characters`);
    }
  };

  return {
    push(text) {
      let from = 0;
      const keepTo = (to: number) => {
        keep(text.slice(from, to));
        from = to;
      };
      for (let at = 0; at < text.length; at++) {
        const c = text[at];
        if (escaped) escaped = false;
        else if (inString && c === "\\") escaped = true;
        else if (c === '"') inString = !inString;
        else if (inString) continue;
        else if (c === "{" || c === "[") {
          depth += 1;
          if (depth !== 2 || c !== "[") continue;
          keepTo(at + 1);
          inItems = ITEMS.test(around.slice(-100));
        } else if (c === "}" || c === "]") {
          depth -= 1;
          if (!inItems || depth > 2) continue;
          keepTo(depth === 2 ? at + 1 : at);
          if (depth === 2) take(item.replace(/^[\s,]+/, ""));
          else inItems = false;
          item = "";
        }
      }
      keepTo(text.length);
    },
    end: () => around,
  };
}
