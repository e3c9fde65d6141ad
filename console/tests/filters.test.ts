import { describe, expect, it } from "vitest";
import type { LocationQuery } from "vue-router";
import { addressOf, addressOfSaved, filtersOf, narrowed, narrowing } from "@/desks/queues/filters";

describe("a list's filters", () => {
  it("come back from their address as they were", () => {
    for (const query of [{}, { queue: "to_dispatch" }, { queue: "overdue", text: "暖气", overdue: "1" }, { state: "replied" }, { open: "0", matter: "help", sort: "received" }, { state: ["accepted", "replied"], unit: "XN-RSJ", open: "0", board: "今日到期" }] as LocationQuery[])
      expect(addressOf(filtersOf(addressOf(filtersOf(query))))).toEqual(addressOf(filtersOf(query)));
  });
  it("show open tickets unless a queue or a state is asked for", () => {
    expect(filtersOf({}).open).toBe(true);
    expect(filtersOf({ queue: "to_dispatch" }).open).toBe(false);
    expect(filtersOf({ state: "archived" }).open).toBe(false);
    expect(filtersOf({ open: "0" }).open).toBe(false);
  });
  it("carry what a figure of the board stands for", () => {
    const filters = filtersOf({ open: "0", board: "西宁市人社局　逾期", owed_by: "XN-RSJ", overdue: "true", state: ["handling", "redoing"] });
    expect(filters.said).toBe("西宁市人社局　逾期");
    expect(narrowing(filters)).toEqual({ owed_by: "XN-RSJ", overdue: true, state: ["handling", "redoing"] });
  });
  it("leave out what the engine has no word for", () => expect(narrowing(filtersOf({ open: "0", nonsense: "1" }))).toEqual({}));
  it("are worth a name once they narrow something", () => {
    expect(narrowed(filtersOf({ queue: "to_dispatch" }))).toBe(false);
    expect(narrowed(filtersOf({ queue: "to_dispatch", text: "暖气" }))).toBe(true);
  });
  it("are found again in a saved one", () => {
    const filters = filtersOf({ queue: "to_dispatch", text: "暖气", matter: "help" });
    const saved = { id: 1, name: "供热", queue: "to_dispatch", filters: { ...narrowing(filters), mine: false, state: [] }, sort: null, saved_at: "" };
    expect(addressOfSaved(saved as never)).toEqual(addressOf(filters));
  });
});
