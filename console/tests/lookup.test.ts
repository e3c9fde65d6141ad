import { flushPromises, mount } from "@vue/test-utils";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import LookupBox, { type Named } from "@/parts/LookupBox.vue";
import { chainOf, childrenOf } from "@/parts/trees";

const ROWS: Named[] = [
  { code: "63", name: "青海省", parent: null }, { code: "6301", name: "西宁市", parent: "63" },
  { code: "630106", name: "湟中区", parent: "6301" }, { code: "630104", name: "城西区", parent: "6301" },
];
const name = (code: string) => ROWS.find((one) => one.code === code)?.name ?? code;
let asked: string[];
let slow: number;

function box(code = "") {
  const find = async (typed: string): Promise<Named[]> => {
    asked.push(typed);
    await new Promise((done) => setTimeout(done, slow));
    return typed === "hz" ? [ROWS[2]!, ROWS[3]!] : [];
  };
  return mount(LookupBox, {
    attachTo: document.body,
    props: { id: "area", label: "地区", modelValue: code, find, below: childrenOf(ROWS), above: chainOf(ROWS), shown: name, "onUpdate:modelValue": (now: string) => wrapper?.setProps({ modelValue: now }) },
  });
}
let wrapper: ReturnType<typeof box> | undefined;
const code = () => wrapper!.props("modelValue");
const type = async (text: string) => {
  const input = wrapper!.get("input");
  (input.element as HTMLInputElement).value = text;
  await input.trigger("input");
};
const press = (key: string) => wrapper!.get("input").trigger("keydown", { key });

beforeEach(() => {
  vi.useFakeTimers();
  [asked, slow] = [[], 20];
});
afterEach(() => {
  wrapper?.unmount();
  vi.useRealTimers();
});

describe("a name out of a tree", () => {
  test("is found by what is typed and taken with Enter", async () => {
    wrapper = box();
    await type("h");
    await type("hz");
    await vi.advanceTimersByTimeAsync(100);
    expect(asked).toEqual(["hz"]);
    await press("ArrowDown");
    await press("Enter");
    expect(code()).toBe("630104");
    expect((wrapper.get("input").element as HTMLInputElement).value).toBe("城西区");
  });
  test("is taken even where Enter or Tab came before the answer", async () => {
    slow = 500;
    for (const key of ["Enter", "Tab"]) {
      wrapper = box();
      await type("hz");
      await press(key);
      if (key === "Tab") await wrapper.get("input").trigger("blur");
      expect(code()).toBe("");
      await vi.advanceTimersByTimeAsync(700);
      expect(code()).toBe("630106");
      wrapper.unmount();
    }
  });
  test("is not asked for while the input method composes", async () => {
    wrapper = box();
    const input = wrapper.get("input");
    (input.element as HTMLInputElement).value = "huang";
    await input.trigger("input", { isComposing: true });
    await vi.advanceTimersByTimeAsync(500);
    expect(asked).toEqual([]);
    (input.element as HTMLInputElement).value = "hz";
    await input.trigger("compositionend");
    await vi.advanceTimersByTimeAsync(100);
    expect(asked).toEqual(["hz"]);
  });
  test("is walked to column by column", async () => {
    wrapper = box();
    await press("ArrowDown");
    for (const key of ["ArrowRight", "ArrowRight", "ArrowDown", "Enter"]) await press(key);
    expect(code()).toBe("630104");
    await press("ArrowDown");
    await press("ArrowLeft");
    await press("Enter");
    expect(code()).toBe("6301");
  });
  test("typed but not chosen leaves what was there; emptied it is gone", async () => {
    wrapper = box("630106");
    await type("nichts");
    await vi.advanceTimersByTimeAsync(100);
    await press("Escape");
    expect(code()).toBe("630106");
    expect((wrapper.get("input").element as HTMLInputElement).value).toBe("湟中区");
    await type("");
    await flushPromises();
    expect(code()).toBe("");
  });
});
