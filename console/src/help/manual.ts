// 使用手册: the pages of docs/manual, one for each desk, built into the console as they are.
import { DESKS } from "@/router";

const TEXTS = import.meta.glob<string>("../../../docs/manual/*.md", { query: "?raw", import: "default" });
const PICTURES = import.meta.glob<string>("../../../docs/manual/images/*.png", { query: "?url", import: "default", eager: true });
const FOLDER = "../../../docs/manual/";

export interface Leaf {
  name: string;
  title: string;
}
/** Its pages in the order of the desks; a page bears the name of its desk's route. */
export const LEAVES: Leaf[] = [
  ...DESKS.map((desk) => ({ name: String(desk.name), title: desk.meta?.title ?? "" })),
  { name: "citizen", title: "来电人查询页" },
].filter((leaf) => `${FOLDER}${leaf.name}.md` in TEXTS);

/** The page's text as it was written. Throws where there is none of this name. */
export async function textOf(name: string): Promise<string> {
  const read = TEXTS[`${FOLDER}${name}.md`];
  if (!read) throw new Error(`没有“${name}”这一页手册`);
  return read();
}
/** Where the console has a picture of the manual, `images/x.png` as the text names it. */
export const pictureOf = (source: string): string | undefined => PICTURES[FOLDER + source];
export const leafOf = (desk: string): string => (LEAVES.some((leaf) => leaf.name === desk) ? desk : (LEAVES[0]?.name ?? ""));
