import { mount } from "@vue/test-utils";
import { describe, expect, test } from "vitest";
import type { Shape } from "@/client";
import { editable } from "@/desks/knowledge/editing";
import MarkedText from "@/parts/MarkedText.vue";
import { usePaged } from "@/parts/paged";

const VIEW = {
  question: "社保卡怎么补办", markdown: "**当场**办结", kind: "guide", unit: "XN-RSJ", legal_basis: null, valid_from: null, valid_until: "2027-12-31", review_on: null, source_url: null,
  categories: ["010101"], areas: [], synonyms: ["医保卡"], change_note: "上一版的说明", corrects: true,
  guide: { materials: "身份证", limit: "3个工作日", limit_days: 3, limit_unit: "working_day", fee: null },
} as unknown as Shape<"ArticleView">;

test("a new version starts from the words of the one seen, not from what was said about it", () => {
  expect(editable(VIEW)).toEqual({
    question: "社保卡怎么补办", answer: "**当场**办结", kind: "guide", unit: "XN-RSJ", valid_until: "2027-12-31", categories: ["010101"], synonyms: ["医保卡"],
    guide: { materials: "身份证", limit: "3个工作日" },
  });
});

describe("marks", () => {
  const shown = (text: string, marks: number[][]) => mount(MarkedText, { props: { text, marks } }).html().replace(/ data-v-\w+=""/g, "");
  test("what was found is marked, markup in it is text", () => {
    expect(shown("补办<b>社保卡</b>", [[5, 8]])).toContain("<mark>社保卡</mark>");
    expect(shown("补办<b>社保卡</b>", [[5, 8]])).toContain("&lt;b&gt;");
  });
  test("emphasis is not read out as stars, wherever a mark begins", () => {
    expect(shown("凭**身份证**办理，3*5", [[1, 3]])).toContain("凭身份证办理，3*5");
    expect(shown("凭**身份证**办理", [[3, 6]])).toContain("凭<mark>身份证</mark>办理");
    expect(shown("凭**身份证**办理", [[1, 8]])).toContain("凭<mark>身份证</mark>办理");
  });
  test("they count characters, not halves of them", () => {
    expect(shown("𠮷野家补办", [[3, 5]])).toContain("<mark>补办</mark>");
  });
});

describe("a list in pages", () => {
  test("an older answer that comes later does not replace a newer one", async () => {
    const waiting: ((rows: { items: string[]; next: string | null }) => void)[] = [];
    const list = usePaged<string>(() => new Promise((answer) => waiting.push(answer)));
    const [first, second] = [list.read(), list.read()];
    waiting[1]!({ items: ["new"], next: "2" });
    waiting[0]!({ items: ["old"], next: null });
    await Promise.all([first, second]);
    expect([list.rows.value, list.next.value, list.busy.value]).toEqual([["new"], "2", false]);
  });
  test("the next page comes behind the first; a failure leaves what is there", async () => {
    const answers: (() => Promise<{ items: string[]; next: string | null }>)[] = [
      async () => ({ items: ["a"], next: "2" }), async () => { throw new Error("断了"); }, async () => ({ items: ["b"], next: null }),
    ];
    const asked: (string | undefined)[] = [];
    const list = usePaged<string>((cursor) => (asked.push(cursor), answers.shift()!()));
    await list.read();
    await list.more();
    expect([list.rows.value, (list.failure.value as Error).message]).toEqual([["a"], "断了"]);
    await list.more();
    expect([list.rows.value, list.failure.value, asked]).toEqual([["a", "b"], null, [undefined, "2", "2"]]);
    await list.more();
    expect(asked).toHaveLength(3);
  });
});
