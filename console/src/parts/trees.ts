// Trees that come as rows with a parent's code.
interface Row {
  code: string;
  parent: string | null;
}

/** Those below a code in their order; below null those on top. */
export function childrenOf<One extends Row>(rows: One[]): (parent: string | null) => One[] {
  const below = new Map<string | null, One[]>();
  for (const row of rows) {
    const siblings = below.get(row.parent);
    if (siblings) siblings.push(row);
    else below.set(row.parent, [row]);
  }
  return (parent) => below.get(parent) ?? [];
}

/** The codes from the top down to a code. */
export function chainOf<One extends Row>(rows: One[]): (code: string) => string[] {
  const parents = new Map(rows.map((row) => [row.code, row.parent]));
  return (code) => {
    const chain: string[] = [];
    for (let one: string | null | undefined = code; one && !chain.includes(one); one = parents.get(one)) chain.unshift(one);
    return chain;
  };
}
