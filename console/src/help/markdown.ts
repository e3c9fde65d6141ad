// The little of Markdown that the manual is written in, as pieces to be drawn: no HTML is ever put into a page from a text.

export type Piece =
  | { kind: "text" | "strong" | "code" | "key"; text: string }
  | { kind: "link"; text: string; to: string };
export type Block =
  | { kind: "heading"; level: number; pieces: Piece[] }
  | { kind: "paragraph"; pieces: Piece[] }
  | { kind: "image"; alt: string; source: string }
  | { kind: "list"; ordered: boolean; items: Piece[][] }
  | { kind: "table"; head: Piece[][]; rows: Piece[][][] };

const INLINE = /\*\*(.+?)\*\*|`([^`]+)`|<kbd>(.+?)<\/kbd>|\[([^\]]+)\]\(([^)\s]+)\)/g;

export function piecesOf(line: string): Piece[] {
  const found: Piece[] = [];
  let at = 0;
  for (const match of line.matchAll(INLINE)) {
    if (match.index > at) found.push({ kind: "text", text: line.slice(at, match.index) });
    const [, strong, code, key, text, to] = match;
    if (to) found.push({ kind: "link", text: text!, to });
    else found.push({ kind: strong ? "strong" : code ? "code" : "key", text: (strong ?? code ?? key)! });
    at = match.index + match[0].length;
  }
  if (at < line.length) found.push({ kind: "text", text: line.slice(at) });
  return found;
}

const cells = (line: string): Piece[][] => line.trim().replace(/^\||\|$/g, "").split("|").map((one) => piecesOf(one.trim()));

/** The blocks of a page; blank lines part them. */
export function blocksOf(text: string): Block[] {
  return text.split(/\n\s*\n/).map((part) => part.trim()).filter(Boolean).flatMap(blockOf);
}
function blockOf(part: string): Block[] {
  const lines = part.split("\n");
  const heading = /^(#{1,3}) (.+)$/.exec(lines[0]!);
  if (heading) {
    const rest = lines.slice(1).join("\n").trim();
    return [{ kind: "heading", level: heading[1]!.length, pieces: piecesOf(heading[2]!) }, ...(rest ? blockOf(rest) : [])];
  }
  const image = /^!\[([^\]]*)\]\(([^)]+)\)$/.exec(part);
  if (image) return [{ kind: "image", alt: image[1]!, source: image[2]! }];
  if (lines.every((line) => /^(- |\d+\. )/.test(line)))
    return [{ kind: "list", ordered: /^\d/.test(part), items: lines.map((line) => piecesOf(line.replace(/^(- |\d+\. )/, ""))) }];
  if (lines.length > 1 && /^\|[\s:|-]+\|$/.test(lines[1]!)) return [{ kind: "table", head: cells(lines[0]!), rows: lines.slice(2).map(cells) }];
  return [{ kind: "paragraph", pieces: piecesOf(lines.join("")) }];
}
