import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { LiveSource, pauseAfter, type LiveMessage } from "@/live/source";

/** An EventSource whose other end is the test. */
class Wire extends EventTarget {
  readyState = 1;
  onerror: (() => void) | null = null;
  constructor(readonly url: string) {
    super();
  }
  close(): void {
    this.readyState = 2;
  }
  say(name: string, data: unknown, id?: string): void {
    this.dispatchEvent(Object.assign(new MessageEvent(name, { data: typeof data === "string" ? data : JSON.stringify(data), lastEventId: id ?? "" })));
  }
  fail(state: number): void {
    this.readyState = state;
    this.onerror?.();
  }
}

describe("the stream", () => {
  const wires: Wire[] = [];
  const told: LiveMessage[] = [];
  const source = () => new LiveSource("/live", (message) => told.push(message), (url) => (wires.push(new Wire(url)), wires.at(-1) as unknown as EventSource));
  beforeEach(() => {
    vi.useFakeTimers();
    [wires.length, told.length] = [0, 0];
  });
  afterEach(() => vi.useRealTimers());

  it("tells of tickets, and that the first connection may have missed something", () => {
    source().start();
    wires[0]!.say("ready", { seq: 7 }, "7");
    wires[0]!.say("ticket", { seq: 8, number: "012611210000425", kind: "ticket.dispatched", state: "dispatched", version: 2 }, "8");
    expect(told[0]).toEqual({ kind: "up", gap: true });
    expect(told[1]).toMatchObject({ kind: "ticket", number: "012611210000425", version: 2 });
  });
  it("is made anew after it closed for good, and goes on where it was", () => {
    source().start();
    wires[0]!.say("ready", { seq: 7 }, "7");
    wires[0]!.fail(2);
    expect(told.at(-1)).toEqual({ kind: "down" });
    vi.advanceTimersByTime(60_000);
    expect(wires).toHaveLength(2);
    expect(wires[1]!.url).toBe("/live?after=7");
    wires[1]!.say("ready", { seq: 9 }, "9");
    expect(told.at(-1)).toEqual({ kind: "up", gap: false });
  });
  it("leaves a stream alone that reconnects by itself", () => {
    source().start();
    wires[0]!.fail(0);
    vi.advanceTimersByTime(120_000);
    expect(wires).toHaveLength(1);
  });
  it("says that there is a gap after a reset", () => {
    source().start();
    wires[0]!.say("ready", { seq: 7 }, "7");
    wires[0]!.say("reset", { seq: 99, reason: "too_slow" }, "99");
    expect(told.at(-1)).toEqual({ kind: "up", gap: true });
  });
  it("forgets where it was for another person", () => {
    const one = source();
    one.start();
    wires[0]!.say("ready", { seq: 7 }, "7");
    one.start(true);
    expect(wires[1]!.url).toBe("/live");
    wires[1]!.say("ready", { seq: 8 }, "8");
    expect(told.at(-1)).toEqual({ kind: "up", gap: true });
  });
  it("survives what is no event of ours", () => {
    source().start();
    wires[0]!.say("ticket", "{", "8");
    expect(told).toHaveLength(0);
  });
});

it("waits longer after each failure, a minute and a little at most", () => {
  expect(pauseAfter(0, 0.5)).toBe(1500);
  expect(pauseAfter(3, 0.5)).toBe(12_000);
  expect(pauseAfter(50, 1)).toBeLessThanOrEqual(75_000);
});
