// Days and times as one says them, in China wherever the phone is.
const INSTANT = new Intl.DateTimeFormat("zh-CN", { timeZone: "Asia/Shanghai", year: "numeric", month: "numeric", day: "numeric", hour: "2-digit", minute: "2-digit", hour12: false });

/** «2 月 24 日» of «2026-02-24». */
export function day(on: string): string {
  const [, month, date] = on.split("-").map(Number);
  return `${month} 月 ${date} 日`;
}
/** «2026 年 2 月 24 日». */
export const wholeDay = (on: string): string => `${on.slice(0, 4)} 年 ${day(on)}`;

/** «2 月 13 日 10:00»; with the year where it is not `now`'s. */
export function moment(at: string, now: Date = new Date()): string {
  const parts = (time: Date) => Object.fromEntries(INSTANT.formatToParts(time).map((part) => [part.type, part.value]));
  const [then, today] = [parts(new Date(at)), parts(now)];
  const said = `${then.month} 月 ${then.day} 日 ${then.hour === "24" ? "00" : then.hour}:${then.minute}`;
  return then.year === today.year ? said : `${then.year} 年 ${said}`;
}
