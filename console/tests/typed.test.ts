import { beforeEach, describe, expect, it } from "vitest";
import { keepTyped, typedBy, typedFor, typedNumbers } from "@/parts/typed";

describe("what was typed", () => {
  beforeEach(() => sessionStorage.clear());
  it("is kept for each act on each ticket", () => {
    keepTyped("1", "reply", { content: "甲" });
    keepTyped("1", "sign", { signed_by: "乙" });
    expect(typedFor("1", "reply")).toEqual({ content: "甲" });
    expect(typedFor("2", "reply")).toEqual({});
    expect([...typedNumbers()]).toEqual(["1"]);
  });
  it("is gone once the act is done", () => {
    keepTyped("1", "reply", { content: "甲" });
    keepTyped("1", "reply", {});
    expect(typedNumbers().size).toBe(0);
  });
  it("is not left to the next person", () => {
    sessionStorage.setItem("other", "stays");
    typedBy("xn-agent01");
    keepTyped("1", "reply", { content: "甲" });
    typedBy("xn-agent01");
    expect(typedFor("1", "reply")).toEqual({ content: "甲" });
    typedBy("xn-agent02");
    expect(typedFor("1", "reply")).toEqual({});
    expect(sessionStorage.getItem("other")).toBe("stays");
  });
  it("does not fill the browser", () => {
    for (let at = 0; at < 200; at += 1) keepTyped(String(at), "reply", { content: "甲" });
    expect(typedNumbers().size).toBeLessThanOrEqual(81);
    expect(typedFor("199", "reply")).toEqual({ content: "甲" });
  });
  it("survives what is no order", () => {
    sessionStorage.setItem("hotline-typed:1/reply", "[1");
    expect(typedFor("1", "reply")).toEqual({});
  });
});
