import { afterEach, describe, expect, it, vi } from "vitest";
import { type Block, blocksOf, type Piece, piecesOf } from "@/help/markdown";
import { LEAVES, leafOf, pictureOf, textOf } from "@/help/manual";
import { hasToured, keepToured, placeOf, stopsOf } from "@/help/touring";
import { TOURS } from "@/help/tours";
import { DESKS } from "@/router";

const piecesIn = (block: Block): Piece[] => {
  if (block.kind === "list") return block.items.flat();
  if (block.kind === "table") return [...block.head, ...block.rows.flat()].flat();
  return "pieces" in block ? block.pieces : [];
};

describe("the manual", () => {
  it("has a page for every desk, and each of its pictures", async () => {
    expect(LEAVES.map((leaf) => leaf.name)).toEqual([...DESKS.map((desk) => String(desk.name)), "citizen"]);
    for (const leaf of LEAVES) {
      const blocks = blocksOf(await textOf(leaf.name));
      expect(blocks[0]?.kind, leaf.name).toBe("heading");
      const pictures = blocks.filter((block) => block.kind === "image");
      expect(pictures.length, leaf.name).toBeGreaterThan(0);
      for (const picture of pictures) {
        expect(pictureOf(picture.source), `${leaf.name}: ${picture.source}`).toBeTruthy();
        expect(picture.alt.length).toBeGreaterThan(10);
      }
    }
  });
  it("is drawn whole: no sign of Markdown is left in what is read", async () => {
    for (const leaf of LEAVES)
      for (const piece of blocksOf(await textOf(leaf.name)).flatMap(piecesIn)) expect(piece.text, leaf.name).not.toMatch(/[*`|<>]|^#|!\[|\]\(/);
  });
  it("opens the page of the desk, and the first where a desk has none", () => {
    expect(leafOf("review")).toBe("review");
    expect(leafOf("lost")).toBe("agent");
  });
  it("knows bold, keys and links in a line", () => {
    expect(piecesOf("按 <kbd>F2</kbd>，**别**忘了[看](agent.md)")).toEqual([
      { kind: "text", text: "按 " }, { kind: "key", text: "F2" }, { kind: "text", text: "，" }, { kind: "strong", text: "别" }, { kind: "text", text: "忘了" }, { kind: "link", text: "看", to: "agent.md" },
    ]);
  });
});

describe("the tour", () => {
  afterEach(() => {
    localStorage.clear();
    document.body.innerHTML = "";
    vi.restoreAllMocks();
  });
  it("is there for every desk, in five to nine steps of at most two sentences", () => {
    for (const desk of DESKS) {
      const steps = TOURS[String(desk.name)] ?? [];
      expect(steps.length, String(desk.name)).toBeGreaterThanOrEqual(5);
      expect(steps.length).toBeLessThanOrEqual(9);
      for (const step of steps) expect(step.text.length, step.title).toBeLessThanOrEqual(70);
    }
  });
  it("leaves out what is not on screen, and takes the first of several that is", () => {
    document.body.innerHTML = "<p class='a'></p><p class='c'></p>";
    const seen = document.querySelector<HTMLElement>(".a")!;
    vi.spyOn(seen, "getClientRects").mockReturnValue([{}] as never);
    vi.spyOn(document.querySelector<HTMLElement>(".c")!, "getClientRects").mockReturnValue([] as never);
    const step = (at?: string | string[]) => ({ at, title: "", text: "" });
    const stops = stopsOf([step(), step(".b"), step([".b", ".a"]), step(".c")], document);
    expect(stops.map((stop) => stop.element)).toEqual([null, seen]);
  });
  it("comes once for each person at this browser", () => {
    expect(hasToured("xn-agent01")).toBe(false);
    keepToured("xn-agent01");
    expect(hasToured("xn-agent01")).toBe(true);
    expect(hasToured("xn-agent02")).toBe(false);
  });
  it("bothers nobody where nothing can be kept", () => {
    const denied = (): never => {
      throw new Error("denied");
    };
    vi.stubGlobal("localStorage", { getItem: denied, setItem: denied });
    keepToured("xn-agent01");
    expect(hasToured("xn-agent01")).toBe(true);
    vi.unstubAllGlobals();
  });
  it("puts its card on screen and, where there is room, off what it tells of", () => {
    const [card, screen] = [{ width: 350, height: 160 }, { width: 1366, height: 768 }];
    const targets = [{ left: 10, top: 60, width: 300, height: 40 }, { left: 10, top: 650, width: 500, height: 100 }, { left: 10, top: 60, width: 300, height: 700 }, { left: 900, top: 60, width: 460, height: 700 }];
    for (const target of targets) {
      const at = placeOf(target, card, screen);
      const apart = at.left >= target.left + target.width || at.left + card.width <= target.left || at.top >= target.top + target.height || at.top + card.height <= target.top;
      expect(apart, JSON.stringify({ target, at })).toBe(true);
    }
    for (const target of [...targets, null, { left: 0, top: 0, width: 1366, height: 768 }]) {
      const at = placeOf(target, card, { width: 683, height: 384 });
      expect(at.left).toBeGreaterThanOrEqual(0);
      expect(at.left + card.width).toBeLessThanOrEqual(683);
      expect(at.top).toBeGreaterThanOrEqual(0);
      expect(at.top + card.height).toBeLessThanOrEqual(384);
    }
  });
});
