import { flushPromises, mount } from "@vue/test-utils";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { opensNothing, read, speaker, type Demand } from "@/citizen/asking";
import CitizenPage from "@/citizen/CitizenPage.vue";
import { day, moment, wholeDay } from "@/citizen/days";
import { typedOn } from "@/citizen/words";
import { Refused, Unanswered } from "@/client/problem";

const DEMAND: Demand = {
  number: "01 260302 000001 1", state: "已办理并通过审核，等待回访", received_at: "2026-03-02T01:00:00Z", matter: "求助", title: "暖气不热", unit: "测试市住建局",
  steps: [{ at: "2026-03-02T01:00:00Z", text: "收到您的诉求" }], promise: null, answer: "已更换阀门。", guidance: null, evaluated: null, appealed: false, may_evaluate: true, may_appeal: true,
  grades: [{ value: "good", label: "满意", labels: ["quick"] }, { value: "poor", label: "不满意", labels: ["slow"] }],
  labels: [{ value: "quick", label: "办理快" }, { value: "slow", label: "办理慢" }],
};
const TOKEN = "3kTMd0hC0b1uVZ0y8q2wXg";
type Sent = { url: string; key: string; body: string };
let sent: Sent[] = [];
let answers: (() => Response)[] = [];
const json = (body: unknown, status = 200) => () => new Response(JSON.stringify(body), { status });
const lost = () => { throw new TypeError("Failed to fetch"); };

beforeEach(() => {
  [sent, answers] = [[], []];
  sessionStorage.clear();
  vi.stubGlobal("fetch", async (url: string, init: RequestInit) => {
    sent.push({ url, key: new Headers(init.headers).get("Idempotency-Key") ?? "", body: String(init.body ?? "") });
    return (answers.shift() ?? json(DEMAND))();
  });
});
afterEach(() => vi.unstubAllGlobals());

test("days are said as people say them, in China", () => {
  expect(day("2026-02-24")).toBe("2 月 24 日");
  expect(wholeDay("2026-02-04")).toBe("2026 年 2 月 4 日");
  expect(moment("2026-02-13T16:05:00Z", new Date("2026-03-01T00:00:00Z"))).toBe("2 月 14 日 00:05");
  expect(moment("2025-12-31T16:30:00Z", new Date("2026-03-01T00:00:00Z"))).toBe("1 月 1 日 00:30"); // already the new year there
  expect(moment("2025-06-01T02:00:00Z", new Date("2026-03-01T00:00:00Z"))).toBe("2025 年 6 月 1 日 10:00");
});

test("the same words sent again carry the same key, other words a new one", async () => {
  const say = speaker(TOKEN, "appeal");
  answers = [lost, lost, json({ message: "已收到" })];
  await expect(say({ reason: "不热" })).rejects.toBeInstanceOf(Unanswered);
  await expect(say({ reason: "不热" })).rejects.toBeInstanceOf(Unanswered);
  await say({ reason: "还是不热" });
  expect(sent[0]!.key).toMatch(/^[0-9a-f]{32}$/);
  expect(sent[1]!.key).toBe(sent[0]!.key);
  expect(sent[2]!.key).not.toBe(sent[0]!.key);
});

test("what a link does not open and what is no answer are told apart", async () => {
  answers = [json({ detail: "没有", code: "not_found" }, 404), json({ detail: "太频繁", code: "too_many_requests" }, 429), lost, () => new Response("<html>", { status: 502 }), () => new Response("{\"num", { status: 200 })];
  const failures: unknown[] = [];
  for (let at = 0; at < 5; at += 1) failures.push(await read("../x?y").catch((problem: unknown) => problem));
  expect(failures.map(opensNothing)).toEqual([true, false, false, false, false]);
  expect(failures.map((one) => one instanceof Refused)).toEqual([true, true, false, true, false]);
  expect((failures[3] as Refused).message).toContain("502");
  expect(sent[0]!.url).toBe("/api/v1/public/tickets/..%2Fx%3Fy");
});

test("typed words outlast a reload and are gone once sent", async () => {
  typedOn("A").reason = "没有解决";
  expect(typedOn("A").reason).toBe("没有解决");
  expect(typedOn("B").reason).toBe("");
  const typed = typedOn("A");
  typed.reason = "";
  expect(sessionStorage.length).toBe(0);
});

test("labels follow the grade, and a lost connection keeps what was typed", async () => {
  const page = mount(CitizenPage, { props: { token: TOKEN }, attachTo: document.body });
  await flushPromises();
  await page.get("[value=poor]").setValue();
  await page.get("[value=slow]").setValue(true);
  await page.get("[value=good]").setValue();
  expect(page.find("[value=slow]").exists()).toBe(false);
  await page.get("[value=quick]").setValue(true);
  await page.get("textarea").setValue("很快");
  answers = [lost];
  await page.get("form").trigger("submit");
  await flushPromises();
  expect(page.get("[role=alert]").text()).toContain("连接不上");
  expect((page.get("textarea").element as HTMLTextAreaElement).value).toBe("很快");
  answers = [json({ message: "感谢您的评价。" }, 201), json({ ...DEMAND, may_evaluate: false, evaluated: { grade: "good", labels: ["quick"], remark: "很快", at: "2026-03-03T01:00:00Z" } })];
  await page.get("form").trigger("submit");
  await flushPromises();
  expect(JSON.parse(sent.at(-2)!.body)).toEqual({ grade: "good", labels: ["quick"], remark: "很快" });
  expect(sent.at(-2)!.key).toBe(sent.at(-3)!.key);
  expect(page.get("[role=status]").text()).toBe("感谢您的评价。");
  expect(page.text()).toContain("满意：办理快");
  page.unmount();
});

test("a page that has been read stays when the line is lost", async () => {
  const page = mount(CitizenPage, { props: { token: TOKEN } });
  await flushPromises();
  answers = [lost];
  window.dispatchEvent(new Event("online"));
  await flushPromises();
  expect(page.get("[role=alert]").text()).toContain("网络不通");
  expect(page.text()).toContain("已更换阀门。");
  answers = [json({ detail: "链接无效", code: "not_found" }, 404)];
  window.dispatchEvent(new Event("online"));
  await flushPromises();
  expect(page.text()).not.toContain("已更换阀门。");
  expect(page.get("h1").text()).toBe("这个链接打不开");
  page.unmount();
});
