import { describe, expect, it, vi } from "vitest";
import { merged, nextAfter, useWork, type Line } from "@/parts/work";

const line = (number: string, version = 1) => ({ number, version }) as unknown as Line;
const lines = (...numbers: string[]) => numbers.map((number) => line(number));
const numbers = (rows: Line[]) => rows.map((row) => row.number).join("");

describe("which ticket comes next", () => {
  it("stays while the ticket is still in the queue", () => expect(nextAfter(lines("a", "b", "c"), lines("a", "b", "c"), "b")).toBe("b"));
  it("goes on to the one that stood behind", () => expect(nextAfter(lines("a", "b", "c"), lines("a", "c"), "b")).toBe("c"));
  it("passes over what others took meanwhile", () => expect(nextAfter(lines("a", "b", "c", "d"), lines("a", "d", "e"), "b")).toBe("d"));
  it("goes back at the end of the queue", () => expect(nextAfter(lines("a", "b"), lines("a"), "b")).toBe("a"));
  it("takes the newly come where nothing else is left", () => expect(nextAfter(lines("a"), lines("z"), "a")).toBe("z"));
  it("has nothing in an empty queue", () => expect(nextAfter(lines("a"), [], "a")).toBeNull());
});

describe("reading the first pages again", () => {
  it("replaces everything where that was all", () => expect(numbers(merged(lines("a", "b", "c"), lines("c"), true))).toBe("c"));
  it("keeps what had been read behind them, each once", () => expect(numbers(merged(lines("a", "b", "c", "d"), lines("x", "c"), false))).toBe("xcd"));
});

describe("working through a queue", () => {
  const queue = (...pages: Line[][]) => {
    let at = 0;
    return useWork(async () => ({ items: pages[Math.min(at++, pages.length - 1)]!, next: null }));
  };
  it("begins with the first, and moves within the ends", async () => {
    const work = queue(lines("a", "b", "c"));
    await work.begin();
    expect(work.current.value).toBe("a");
    work.move(-1);
    expect(work.current.value).toBe("a");
    work.move(10);
    expect(work.current.value).toBe("c");
  });
  it("keeps the ticket at hand when somebody else saw to it, and says so", async () => {
    const work = queue(lines("a", "b", "c"), lines("a", "c"));
    await work.begin("b");
    await work.refresh();
    expect(work.current.value).toBe("b");
    expect(work.gone.value).toBe(true);
    work.move(1);
    expect(work.current.value).toBe("c");
  });
  it("goes on after an act even where the stream told of it first", async () => {
    const work = queue(lines("a", "b", "c"), lines("a", "c"));
    await work.begin("b");
    expect(work.index.value).toBe(1);
    await work.refresh(); // told by the stream
    await work.advance(); // the act's own answer
    expect(work.current.value).toBe("c");
  });
  it("waits with a quiet reading for the one somebody asked for", async () => {
    const answers: ((page: { items: Line[]; next: null }) => void)[] = [];
    const work = useWork(() => new Promise((answer) => answers.push(answer)));
    const begun = work.begin("b");
    const quiet = work.refresh();
    expect(answers).toHaveLength(1);
    answers[0]!({ items: lines("a", "b"), next: null });
    await begun;
    await vi.waitFor(() => expect(answers).toHaveLength(2));
    answers[1]!({ items: lines("x", "a", "b"), next: null });
    await quiet;
    expect(work.current.value).toBe("b");
    expect(numbers(work.rows.value)).toBe("xab");
  });
  it("says what failed, and nothing when only a quiet reading did", async () => {
    let down = true;
    const work = useWork(async () => {
      if (down) throw new Error("x");
      return { items: lines("a"), next: null };
    });
    await work.begin();
    expect(work.failure.value).toBeInstanceOf(Error);
    down = false;
    await work.begin();
    expect(work.failure.value).toBeNull();
    down = true;
    await work.refresh();
    expect(work.failure.value).toBeNull();
    expect(numbers(work.rows.value)).toBe("a");
  });
});
