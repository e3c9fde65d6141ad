import { expect, it } from "vitest";
import { chinaLocal, dueTime, fromChina, span } from "@/clock";

it("says and reads times of China wherever the browser stands", () => {
  expect(chinaLocal("2026-02-24T02:05:30Z")).toBe("2026-02-24T10:05");
  expect(chinaLocal("2026-02-23T20:00:00Z")).toBe("2026-02-24T04:00");
  expect(fromChina("2026-02-24T10:05")).toBe("2026-02-24T10:05:00+08:00");
  expect(chinaLocal(fromChina("2026-02-24T10:05"))).toBe("2026-02-24T10:05");
  expect([chinaLocal(""), chinaLocal("no time"), fromChina("")]).toEqual(["", "", undefined]);
});
it("counts natural hours", () => {
  const now = new Date("2026-02-24T10:00:00+08:00");
  expect(span("2026-02-24T13:20:00+08:00", now)).toBe("3 小时 20 分");
  expect(span("2026-02-26T10:00:00+08:00", now)).toBe("2 天");
});
it("tells the end of a day by that day, not by the next", () => {
  expect(dueTime("2026-12-04T16:00:00Z")).toBe("12月4日周五 24时");
  expect(dueTime("2026-11-22T10:18:54Z")).toBe("11月22日周日 18:18");
});
