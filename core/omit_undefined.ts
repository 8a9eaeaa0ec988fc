type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined> };
type RequiredKeys<T> = { [K in keyof T]: undefined extends T[K] ? never : K }[keyof T];

/** The same object without its `undefined` fields: absent is not a value. */
export function omitUndefined<T extends object>(fields: T): Present<T> & Pick<T, RequiredKeys<T>> {
  const present: Partial<T> = {};
  for (const key in fields) if (fields[key] !== undefined) present[key] = fields[key];
  return present as Present<T> & Pick<T, RequiredKeys<T>>;
}
