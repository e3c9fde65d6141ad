// A line found in a text: what was looked for in it is marked, the text's own markup is not read out.

export interface Piece {
  text: string;
  marked: boolean;
}

/** The text in pieces, marked or not. Marks count Unicode characters, as the engine does; `**` of emphasis is left out. */
export function piecesOf(text: string, marks: readonly (readonly number[])[]): Piece[] {
  const letters = Array.from(text);
  const shown = letters.map((letter, at) => !(letter === "*" && (letters[at + 1] === "*" || letters[at - 1] === "*")));
  const found: Piece[] = [];
  const add = (from: number, to: number, marked: boolean): void => {
    const words = letters.slice(from, to).filter((_, index) => shown[from + index]).join("");
    if (words) found.push({ text: words, marked });
  };
  let at = 0;
  for (const [start = 0, end = 0] of marks) {
    add(at, start, false);
    add(Math.max(at, start), end, true);
    at = Math.max(at, end);
  }
  add(at, letters.length, false);
  return found;
}
