import { flushPromises, mount } from "@vue/test-utils";
import { createPinia, setActivePinia } from "pinia";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import OrderFields from "@/parts/OrderFields.vue";
import PersonPicker from "@/parts/PersonPicker.vue";
import UnitsPicker from "@/parts/UnitsPicker.vue";
import { useWords } from "@/words";

const UNITS = [{ code: "ZJJ", name: "测试市住建局", area: "63" }, { code: "CGJ", name: "测试市城管局", area: "63" }];
const asked: string[] = [];

beforeEach(() => {
  vi.useFakeTimers();
  setActivePinia(createPinia());
  asked.length = 0;
  useWords().units = UNITS as never;
  vi.stubGlobal("fetch", async (request: Request) => {
    const { pathname, searchParams } = new URL(request.url);
    asked.push(`${pathname}?${searchParams}`);
    const people = [{ login: "agent2", name: "测试乙", roles: ["agent"], unit: null }];
    const found = pathname.endsWith("/units") ? UNITS.filter((one) => one.code.toLowerCase().startsWith(searchParams.get("q")!)) : people;
    return new Response(JSON.stringify(found), { headers: { "Content-Type": "application/json" } });
  });
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
  document.body.innerHTML = "";
});

async function pick(input: HTMLInputElement, typed: string): Promise<void> {
  input.value = typed;
  input.dispatchEvent(new InputEvent("input"));
  await vi.advanceTimersByTimeAsync(200);
  await flushPromises();
  input.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }));
  await flushPromises();
}

test("several units are picked one after the other, none twice, and taken back by key", async () => {
  const box = mount(UnitsPicker, { attachTo: document.body, props: { id: "co", label: "协办单位", modelValue: [] as string[], "onUpdate:modelValue": (now: string[]) => box.setProps({ modelValue: now }) } });
  const input = box.get("input").element as HTMLInputElement;
  await pick(input, "zjj");
  expect(input.value).toBe("");
  await pick(input, "cgj");
  await pick(input, "zjj");
  expect(box.props("modelValue")).toEqual(["ZJJ", "CGJ"]);
  expect(box.get("ul").text()).toContain("测试市住建局");
  await box.get("input").trigger("keydown", { key: "Backspace" });
  expect(box.props("modelValue")).toEqual(["ZJJ"]);
  await box.get("[aria-label='去掉 测试市住建局']").trigger("click");
  expect(box.props("modelValue")).toEqual([]);
});

test("a colleague is kept by login and shown by name", async () => {
  const box = mount(PersonPicker, { attachTo: document.body, props: { id: "to", label: "接手人", role: "agent", modelValue: "", "onUpdate:modelValue": (now: string) => box.setProps({ modelValue: now }) } });
  const input = box.get("input").element as HTMLInputElement;
  await pick(input, "csy");
  expect(asked.at(-1)).toBe("/api/v1/colleagues?q=csy&role=agent&limit=20");
  expect([box.props("modelValue"), input.value]).toEqual(["agent2", "测试乙（agent2）"]);
});

test("Enter in a date's field sends no form, Ctrl Enter is left alone", async () => {
  const fields = [{ name: "on", title: "日期", required: true, kind: "day" as const }, { name: "at", title: "时间", required: false, kind: "instant" as const }];
  const form = mount(OrderFields, { props: { fields, modelValue: {} } });
  for (const input of form.findAll("input")) {
    const pressed = (more: object) => {
      const event = new KeyboardEvent("keydown", { key: "Enter", cancelable: true, bubbles: true, ...more });
      input.element.dispatchEvent(event);
      return event.defaultPrevented;
    };
    expect([pressed({}), pressed({ ctrlKey: true })]).toEqual([true, false]);
  }
});
