import { flushPromises, mount } from "@vue/test-utils";
import { createPinia, setActivePinia } from "pinia";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { localDays, spoken } from "@/desks/admin/days";
import OperationForm from "@/parts/OperationForm.vue";

describe("local days off", () => {
  test("each line is a day and why", () => {
    expect(localDays("2027-07-06 自治州成立纪念日\n\n 2027-07-07　调休 \n")).toEqual({ "2027-07-06": "自治州成立纪念日", "2027-07-07": "调休" });
  });
  test("a line that is none is named", () => {
    expect(() => localDays("2027-07-06 纪念日\n七月七日 调休")).toThrow("第 2 行");
    expect(() => localDays("2027-07-06")).toThrow("第 1 行");
  });
  test("a day is told with its weekday", () => expect(spoken("2026-11-21")).toBe("2026-11-21 周六"));
});

describe("an operation's form", () => {
  let sent: { url: string; key: string | null; body: unknown }[];
  let answers: (() => Response)[];
  const refused = (problem: object, status = 422) => () => new Response(JSON.stringify({ type: "t", title: "不行", code: "validation", status, ...problem }), { status, headers: { "Content-Type": "application/problem+json" } });
  const done = () => new Response(JSON.stringify({ id: 1 }), { status: 201, headers: { "Content-Type": "application/json" } });
  beforeEach(() => {
    setActivePinia(createPinia());
    [sent, answers] = [[], []];
    vi.stubGlobal("fetch", async (request: Request) => {
      sent.push({ url: new URL(request.url).pathname, key: request.headers.get("Idempotency-Key"), body: await request.json() });
      const answer = answers.shift();
      if (!answer) throw new TypeError("no line");
      return answer();
    });
  });
  afterEach(() => vi.unstubAllGlobals());
  const form = () => mount(OperationForm, { props: { operation: "disable_person", path: { login: "xn-agent01" } }, attachTo: document.body });
  async function type(wrapper: ReturnType<typeof form>, words: string) {
    const input = wrapper.get<HTMLInputElement>("#op-disable_person-reason");
    input.element.value = words;
    await input.trigger("input");
  }

  test("keeps what is typed while the page around it is drawn anew, and begins afresh for somebody else", async () => {
    const wrapper = form();
    const reason = () => wrapper.get<HTMLInputElement>("#op-disable_person-reason").element.value;
    await type(wrapper, "离职");
    await wrapper.setProps({ path: { login: "xn-agent01" } });
    expect(reason()).toBe("离职");
    await wrapper.setProps({ path: { login: "xn-agent02" } });
    expect(reason()).toBe("");
  });
  test("asks for what the document says, sends it to its address, and is empty afterwards", async () => {
    const wrapper = form();
    await type(wrapper, "离职");
    answers = [done];
    await wrapper.get("form").trigger("submit");
    await flushPromises();
    expect(sent).toMatchObject([{ url: "/api/v1/people/xn-agent01/disable", body: { reason: "离职" } }]);
    expect(wrapper.emitted("done")).toEqual([[{ id: 1 }]]);
    expect(wrapper.get<HTMLInputElement>("#op-disable_person-reason").element.value).toBe("");
  });
  test("a refusal stands at its field, and nothing typed is lost", async () => {
    const wrapper = form();
    await type(wrapper, "离职");
    answers = [refused({ detail: "请写明移交给谁", field: "transfer_to" })];
    await wrapper.get("form").trigger("submit");
    await flushPromises();
    expect(wrapper.find(".wrong #op-disable_person-transfer_to").exists()).toBe(true);
    expect(wrapper.get<HTMLInputElement>("#op-disable_person-reason").element.value).toBe("离职");
    expect(wrapper.emitted("done")).toBeUndefined();
  });
  test("the same attempt goes under the same key where no answer came, another order under another", async () => {
    const wrapper = form();
    await type(wrapper, "离职");
    await wrapper.get("form").trigger("submit");
    await flushPromises();
    answers = [refused({ detail: "不行" })];
    await wrapper.get("form").trigger("submit");
    await flushPromises();
    await type(wrapper, "调离");
    answers = [done];
    await wrapper.get("form").trigger("submit");
    await flushPromises();
    expect(sent[1]!.key).toBe(sent[0]!.key);
    expect(sent[2]!.key).not.toBe(sent[1]!.key);
  });
});
