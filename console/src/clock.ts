// One clock for every countdown: the server's time, ticking once a second.
import { useIntervalFn, useNow } from "@vueuse/core";
import { computed } from "vue";
import { clockOffset } from "@/client";

const local = useNow({ scheduler: (tick) => useIntervalFn(tick, 1000) });
/** The server's time, as near as its answers tell. */
export const now = computed(() => new Date(local.value.getTime() + clockOffset.value));

const CHINA = "Asia/Shanghai";
const format = (options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat("zh-CN", { timeZone: CHINA, ...options });
const DAY = format({ year: "numeric", month: "2-digit", day: "2-digit" });
const MINUTE = format({ month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hour12: false });
const FULL = format({ year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const WEEKDAY = format({ month: "long", day: "numeric", weekday: "short" });

/** «02/24 10:05» in China, wherever the browser stands. */
export const shortTime = (at: string | Date | null | undefined): string => (at ? MINUTE.format(new Date(at)) : "");
export const fullTime = (at: string | Date | null | undefined): string => (at ? FULL.format(new Date(at)) : "");
export const dayOf = (at: string | Date | null | undefined): string => (at ? DAY.format(new Date(at)) : "");
export const spokenDay = (at: string | Date): string => WEEKDAY.format(new Date(at));

/** When a period ends: «12月4日周五 24时» where it is the end of a day (which is 0:00 of the next), else to the minute. */
export function dueTime(at: string | Date): string {
  const time = new Date(at).getTime();
  const midnight = chinaLocal(new Date(time)).endsWith("T00:00");
  return midnight ? `${spokenDay(new Date(time - 1000))} 24时` : `${spokenDay(new Date(time))} ${chinaLocal(new Date(time)).slice(11)}`;
}

/** An instant as an input for date and time shows it, in China wherever the browser stands: «2026-02-24T10:05». */
export function chinaLocal(at: string | Date | null | undefined): string {
  const time = at ? new Date(at).getTime() : NaN;
  return Number.isNaN(time) ? "" : new Date(time + 8 * 3_600_000).toISOString().slice(0, 16);
}
/** What such an input says, as an instant; nothing where it says nothing. */
export const fromChina = (said: string): string | undefined => (said ? `${said.length === 16 ? `${said}:00` : said}+08:00` : undefined);

/** «还剩 3 小时 20 分» or «超期 2 天»: natural hours between now and `due`. */
export function span(due: string | Date, at: Date): string {
  const minutes = Math.floor(Math.abs(new Date(due).getTime() - at.getTime()) / 60_000);
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor((minutes % 1440) / 60)];
  if (days) return `${days} 天${hours ? ` ${hours} 小时` : ""}`;
  return hours ? `${hours} 小时 ${minutes % 60} 分` : `${minutes} 分`;
}
