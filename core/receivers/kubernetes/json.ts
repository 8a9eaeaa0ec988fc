/** JSON from the API server: objects of unknown shape, and lists that are too long to hold as a whole. */

export type JsonObject = Readonly<Record<string, unknown>>;

export function asObject(value: unknown): JsonObject | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? value as JsonObject
    : undefined;
}

export function parseObject(text: string): JsonObject | undefined {
  try {
    return asObject(JSON.parse(text));
  } catch {
    return undefined;
  }
}

const ITEMS_KEY = /"items"\s*:\s*\[$/;

/** Splits a list of Kubernetes objects while it is received. Holds one item at a time. */
export class ItemSplitter {
  #depth = 0;
  #inString = false;
  #escaped = false;
  #inItems = false;
  #item = "";
  #rest = "";

  /**
   * @param maxItemCharacters bounds one item, and everything outside of the items.
   * @param onItem receives each element of the list's array `items`, as JSON.
   */
  constructor(
    private readonly maxItemCharacters: number,
    private readonly onItem: (item: string) => void,
  ) {}

  /** Throws when one object is too long. */
  push(text: string): void {
    let from = 0;
    const keepTo = (to: number) => {
      this.#keep(text.slice(from, to));
      from = to;
    };
    for (let at = 0; at < text.length; at++) {
      const c = text[at];
      if (this.#escaped) this.#escaped = false;
      else if (this.#inString && c === "\\") this.#escaped = true;
      else if (c === '"') this.#inString = !this.#inString;
      else if (this.#inString) continue;
      else if (c === "{" || c === "[") {
        this.#depth += 1;
        if (this.#depth !== 2 || c !== "[") continue;
        keepTo(at + 1);
        this.#inItems = ITEMS_KEY.test(this.#rest.slice(-100));
      } else if (c === "}" || c === "]") {
        this.#depth -= 1;
        if (!this.#inItems || this.#depth > 2) continue;
        keepTo(this.#depth === 2 ? at + 1 : at);
        if (this.#depth === 2) this.onItem(this.#item.replace(/^[\s,]+/, ""));
        else this.#inItems = false;
        this.#item = "";
      }
    }
    keepTo(text.length);
  }

  /** Returns the list without its items. */
  end(): string {
    return this.#rest;
  }

  #keep(text: string): void {
    if (this.#inItems) this.#item += text;
    else this.#rest += text;
    const max = this.maxItemCharacters;
    if (this.#item.length > max || this.#rest.length > max) {
      throw new Error(`one object in its answer is longer than ${max} characters`);
    }
  }
}
