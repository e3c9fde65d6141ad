import { mount } from "@vue/test-utils";
import { createMemoryHistory, createRouter } from "vue-router";
import { expect, test } from "vitest";
import BreakdownTable from "@/desks/reports/BreakdownTable.vue";
import { addressOf, asked, lastMonth, readCut, sliceOf, step, within } from "@/desks/reports/cut";
import { beside, made, written, type Figure } from "@/desks/reports/said";

const rate = (numerator: number, denominator: number): Figure => ({ numerator, denominator, value: denominator ? (numerator / denominator).toFixed(4) : null, median: null, beside: { 逾期: denominator - numerator } });

test("periods go back and forth, over the year's end too", () => {
  expect([step("2026-01", -1), step("2026-12", 1), step("2026-Q1", -1), step("2026-Q4", 1), step("2026", -1)]).toEqual(["2025-12", "2027-01", "2025-Q4", "2027-Q1", "2025"]);
  expect(step("2026-10-08..2026-11-20", 1)).toBeNull();
  expect(lastMonth(new Date("2026-01-31T17:00:00Z"))).toBe("2026-01"); // February already, in China
  expect(lastMonth(new Date("2026-01-31T15:00:00Z"))).toBe("2025-12");
});

test("an address asks the engine for what it says, and nothing it does not know", () => {
  const said = readCut({ period: "2026-10", by: "category", depth: "2", unit: "", matter: "help", rollup: "1", strange: "x" });
  expect(said).toEqual({ period: "2026-10", by: "category", depth: "2", matter: "help", rollup: "1" });
  expect(asked(said)).toEqual({ period: "2026-10", by: "category", depth: 2, matter: "help" }); // 含下级 only with units
  expect(asked({ period: "2026", by: "unit", rollup: "1", below: "0", depth: "2" })).toEqual({ period: "2026", by: "unit", rollup: true, below: false });
});

test("a line opens what it counts, and what has no word opens nothing", () => {
  const said = { period: "2026-10", by: "unit", matter: "help", rollup: "1" };
  expect(within(said, "ZJJ")).toEqual({ period: "2026-10", matter: "help", unit: "ZJJ", rollup: "1" });
  expect(within(said, "platform")).toBeNull();
  expect(within({ period: "2026", by: "month" }, "2026-03-01")).toEqual({ period: "2026-03" });
  expect(within({ period: "2026-10", by: "platform" }, "01")).toEqual({ period: "2026-10", platform: "01", below: "0" });
});

test("a view that was kept comes back as it was", () => {
  const said = { period: "2026-10", by: "area", unit: "ZJJ", rollup: "1", below: "0" };
  expect(addressOf({ slice: sliceOf(said), by: ["area"] }, "2026-10")).toEqual(said);
});

test("figures are written as reports write them", () => {
  expect([written(rate(64, 67), "percent"), written(rate(0, 0), "percent"), written(undefined, "count")]).toEqual(["95.52%", "—", "—"]);
  expect(made(rate(64, 67), "percent")).toBe("64 / 67");
  expect(beside(rate(64, 67))).toBe("逾期 3");
  const mean: Figure = { numerator: 3600, denominator: 2, value: "0.5", median: 0, beside: {} };
  expect([written(mean, "hours"), made(mean, "hours")]).toEqual(["0.50", "2 件，中位数 0"]);
});

test("a table shows what its parts have, sorts it and links it", async () => {
  const router = createRouter({ history: createMemoryHistory(), routes: [{ path: "/:all(.*)*", component: { template: "<i/>" } }] });
  const indicators = ["timely", "overdue", "received"].map((key) => ({ key, name: { timely: "及时率", overdue: "逾期率", received: "诉求总量" }[key]!, definition: "", unit: key === "received" ? ("count" as const) : ("percent" as const) }));
  const count = (numerator: number): Figure => ({ numerator, denominator: null, value: String(numerator), median: null, beside: {} });
  const rows = [
    { key: "platform", name: "热线平台", figures: { timely: rate(0, 0), overdue: rate(0, 0), received: count(9) } },
    { key: "A", name: "甲局", figures: { timely: rate(1, 2), overdue: rate(1, 2), received: count(0) } },
    { key: "B", name: "乙局", figures: { timely: rate(2, 2), overdue: rate(0, 2), received: count(0) } },
  ];
  const table = mount(BreakdownTable, { props: { title: "按承办单位", indicators, rows, list: (key: string, line: string) => `/${key}/${line}` }, global: { plugins: [router] } });
  expect(table.text()).not.toContain("诉求总量"); // no unit has any
  const names = () => table.findAll("tbody th").map((one) => one.text());
  const [timely] = table.findAll("thead button");
  await timely!.trigger("click");
  expect(names()).toEqual(["乙局", "甲局", "热线平台"]);
  await timely!.trigger("click");
  expect(names()[1]).toBe("甲局");
  expect(table.find("a").attributes("href")).toMatch(/^\/timely\/[AB]$/);
  expect(table.findAll("tbody tr").find((row) => row.text().includes("热线平台"))!.findAll("a")).toHaveLength(0);
});
