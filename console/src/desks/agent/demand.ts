// One contact (来电) at the agent's desk: what is typed of it, what the engine said of it, and the order it becomes.
import type { Shape } from "@/client";

export type Act = Shape<"ActResult">["acts"][number];
export type Call = Shape<"CallView">;
export type Order = Record<string, unknown>;

export interface Typed {
  channel: string;
  matter: string;
  category: string;
  area: string;
  title: string;
  content: string;
  name: string;
  phone: string;
  address: string;
  idNumber: string;
  confidential: boolean;
  receivedAt: string;
  externalRef: string;
}
export interface Contact {
  id: string;
  begun: string;
  call: Call | null;
  /** It is not the first thing this caller says in this call. */
  another?: boolean;
  typed: Typed;
  /** The decision whose form is open, and what was typed into each. */
  deciding: string;
  orders: Record<string, Order>;
  /** A registration that was sent and may not have been answered. */
  attempt: { key: string; mark: string } | null;
  saved: Saved | null;
}
export interface Saved {
  number: string;
  spoken: string;
  state: string;
  version: number;
  acts: string[];
  title: string;
  clocks: Shape<"ClockView">[];
  /** The ticket it is to be merged into, until it is. */
  into?: string;
  ended?: boolean;
}

export const nothing = (): Typed => ({
  channel: "phone", matter: "", category: "", area: "", title: "", content: "", name: "", phone: "", address: "", idNumber: "",
  confidential: false, receivedAt: "", externalRef: "",
});

/** Whether nothing has been typed: it may be given away without asking. */
export const isBlank = (one: Contact): boolean =>
  JSON.stringify(one.typed) === JSON.stringify(nothing()) && !Object.values(one.orders).some((order) => Object.keys(order).length);

const OPENING = /^(来电人|市民|群众|该?用户|热心市民)?(来电)?(反映|称|说|咨询|投诉|举报|建议|求助)?[，,：:、\s]*/;
const [SHORTEST, LONGEST] = [4, 40];

/** A title out of the first words of the content, for when none is typed. */
export function titleOf(content: string): string {
  const said = content.trim().replace(OPENING, "") || content.trim();
  const end = said.search(/[。！？!?；;\n]/);
  const sentence = end >= SHORTEST ? said.slice(0, end) : said;
  if (sentence.length <= LONGEST) return sentence.replace(/[。！？!?；;\s]+$/, "");
  const cut = sentence.slice(0, LONGEST);
  const pause = Math.max(cut.lastIndexOf("，"), cut.lastIndexOf(","), cut.lastIndexOf("、"));
  return pause >= 10 ? cut.slice(0, pause) : cut;
}
export const titled = (typed: Typed): string => typed.title.trim() || titleOf(typed.content);

type Needed = "content" | "matter" | "category" | "area";
/** What a demand cannot be registered without and has not got, in the order of the form. */
export function missingOf(typed: Typed): Needed[] {
  const needed: Needed[] = ["content", "matter", "category", "area"];
  return needed.filter((name) => !typed[name].trim());
}

/** The demand to register. The call's own number stays with the engine: only what was typed is sent. */
export function demandOf(one: Contact): Shape<"Demand"> {
  const { typed, call } = one;
  const callId = call && typed.channel === "phone" ? call.call_id : undefined;
  const said = (text: string): string | undefined => text.trim() || undefined;
  return {
    channel: typed.channel as Shape<"Demand">["channel"],
    matter: typed.matter as Shape<"Demand">["matter"],
    category: typed.category,
    area: typed.area,
    title: titled(typed),
    content: typed.content,
    caller: { name: said(typed.name), phone: said(typed.phone), address: said(typed.address), id_number: said(typed.idNumber), confidential: typed.confidential },
    received_at: typed.receivedAt ? `${typed.receivedAt}:00+08:00` : undefined,
    call_id: callId,
    another: Boolean(callId && one.another),
    external_ref: said(typed.externalRef),
  };
}

/** A short mark of a text: the same text has the same mark. */
export function markOf(text: string): string {
  let [low, high] = [0xdeadbeef, 0x41c6ce57];
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    low = Math.imul(low ^ code, 2654435761);
    high = Math.imul(high ^ code, 1597334677);
  }
  return `${(low >>> 0).toString(36)}${(high >>> 0).toString(36)}${text.length}`;
}

/** Where the engine's names of what is wrong stand on this form. */
const PLACES: Record<string, keyof Typed> = {
  matter: "matter", category: "category", area: "area", title: "title", content: "content", channel: "channel", "caller.name": "name", "caller.phone": "phone",
  "caller.address": "address", "caller.id_number": "idNumber", received_at: "receivedAt", external_ref: "externalRef",
};
/** `body.demand.caller.phone`, `demand.caller.phone` and `phone` are all the field `phone`; what is none of the form's stays as it is. */
export function placeOf(field: string): string {
  const bare = field.replace(/^(body\.)?(demand|decision)\./, "");
  return PLACES[bare] ?? PLACES[`caller.${bare}`] ?? bare.split(".").at(-1) ?? bare;
}
