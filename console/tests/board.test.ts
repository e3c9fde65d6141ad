import { describe, expect, test } from "vitest";
import { shortDay } from "@/desks/board/days";
import { drill } from "@/desks/board/drill";

describe("from a figure to its tickets", () => {
  test("the engine's query goes to the queue desk word for word, a row's and a column's together", () => {
    expect(drill("住建局　超期", { owed_by: "ZJJ" }, { overdue: "true" })).toEqual({ name: "queues", query: { open: "0", board: "住建局　超期", owed_by: "ZJJ", overdue: "true" } });
  });
  test("what the engine says of open tickets wins over the desk's own", () => {
    expect(drill("未办结", { open: "true" })).toMatchObject({ query: { open: "true" } });
  });
  test("a figure without a query narrows nothing", () => {
    expect(drill("全部", null, undefined)).toEqual({ name: "queues", query: { open: "0", board: "全部" } });
  });
});

test("a day is told with its weekday, wherever the browser stands", () => {
  expect(["2026-11-21", "2026-11-23", "2027-01-01"].map(shortDay)).toEqual(["11/21 周六", "11/23 周一", "1/1 周五"]);
});
