import { describe, expect, test } from "vitest";
import { fresh, placeOfCall } from "@/desks/agent/contacts";
import { type Call, demandOf, isBlank, markOf, missingOf, placeOf, titleOf } from "@/desks/agent/demand";

const call = (changes: Partial<Call> = {}): Call => ({
  id: 7, call_id: "c-7", state: "ringing", number: "139****0001", line: "12345", extension: null, ringing_at: "2026-03-02T01:00:00Z", answered_at: null, ended_at: null, recording: null, ...changes,
});
const filled = () => {
  const one = fresh(call());
  Object.assign(one.typed, { matter: "help", category: "010101", area: "630106105000", content: "来电人反映，暖气不热，室温只有14度。家中有老人。", name: "测试甲" });
  return one;
};

describe("the title out of the content", () => {
  test("is the first sentence without how it was introduced", () => {
    expect(titleOf("来电人反映，暖气不热，室温只有14度。家中有老人。")).toBe("暖气不热，室温只有14度");
    expect(titleOf("市民投诉：示例路井盖丢失\n夜里危险")).toBe("示例路井盖丢失");
  });
  test("stays under forty characters, cut at a pause", () => {
    const long = titleOf(`${"一".repeat(30)}，${"二".repeat(30)}`);
    expect(long).toBe("一".repeat(30));
    expect(titleOf("长".repeat(5000))).toHaveLength(40);
  });
  test("of nothing is nothing, and a short cry is a title", () => {
    expect(titleOf("   ")).toBe("");
    expect(titleOf("停电！")).toBe("停电");
    expect(titleOf("投诉")).toBe("投诉");
  });
});

describe("the demand", () => {
  test("names the call and leaves the number to the engine", () => {
    const demand = demandOf(filled());
    expect(demand).toMatchObject({ call_id: "c-7", another: false, title: "暖气不热，室温只有14度", caller: { name: "测试甲", phone: undefined } });
    expect(JSON.stringify(demand)).not.toContain("139");
  });
  test("of another channel does not name the call", () => {
    const one = filled();
    one.another = true;
    expect(demandOf(one).another).toBe(true);
    one.typed.channel = "web";
    one.typed.receivedAt = "2026-03-02T09:30";
    expect(demandOf(one)).toMatchObject({ call_id: undefined, another: false, received_at: "2026-03-02T09:30:00+08:00" });
  });
  test("says what is missing in the order of the form", () => {
    expect(missingOf(fresh().typed)).toEqual(["content", "matter", "category", "area"]);
    expect(missingOf(filled().typed)).toEqual([]);
  });
  test("what the engine finds wrong stands at its field", () => {
    expect(["body.demand.caller.id_number", "demand.category", "phone", "received_at", "decision.explanation"].map(placeOf)).toEqual(["idNumber", "category", "phone", "receivedAt", "explanation"]);
  });
  test("has another mark when anything of it changes", () => {
    expect(markOf("暖气不热")).toBe(markOf("暖气不热"));
    expect(markOf("暖气不热")).not.toBe(markOf("暖气不热。"));
  });
});

describe("a call that rings", () => {
  test("goes into the empty form at hand", () => {
    const one = fresh();
    expect(placeOfCall([one], one.id, call(), false)).toBe("here");
  });
  test("never into a form somebody types in, nor into one that is saved or has another call", () => {
    const one = fresh();
    one.typed.content = "路";
    expect(isBlank(one)).toBe(false);
    expect(placeOfCall([one], one.id, call(), false)).toBe("beside");
    const other = fresh(call({ id: 8 }));
    expect(placeOfCall([other], other.id, call(), false)).toBe("beside");
  });
  test("is known when it is told again, and opens nothing when missed, put away or registered", () => {
    const one = fresh(call());
    expect(placeOfCall([one], one.id, call({ state: "connected" }), false)).toBe("known");
    expect(placeOfCall([fresh()], "", call({ state: "missed" }), false)).toBe("nowhere");
    expect(placeOfCall([fresh()], "", call(), true)).toBe("nowhere");
  });
});
