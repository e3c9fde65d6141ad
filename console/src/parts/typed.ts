// What somebody has typed into an act's form and not yet sent: kept in this tab through errors, other tickets and a reload.
type Order = Record<string, unknown>;

const PREFIX = "hotline-typed:";
const MOST = 80;

const nameOf = (number: string, act: string): string => `${PREFIX}${number}/${act}`;
const said = (order: Order): boolean => Object.values(order).some((one) => one !== "" && one !== undefined && one !== null);

function kept(): string[] {
  const names: string[] = [];
  for (let at = 0; at < sessionStorage.length; at += 1) {
    const name = sessionStorage.key(at);
    if (name?.startsWith(PREFIX)) names.push(name);
  }
  return names;
}

/** What was typed for this act on this ticket; an empty order where nothing was. */
export function typedFor(number: string, act: string): Order {
  try {
    const found: unknown = JSON.parse(sessionStorage.getItem(nameOf(number, act)) ?? "{}");
    return found && typeof found === "object" && !Array.isArray(found) ? (found as Order) : {};
  } catch {
    return {};
  }
}

/** Keep it. A browser without room or storage keeps nothing, and says nothing: the form still holds it. */
export function keepTyped(number: string, act: string, order: Order): void {
  try {
    if (!said(order)) return sessionStorage.removeItem(nameOf(number, act));
    sessionStorage.setItem(nameOf(number, act), JSON.stringify(order));
    const names = kept();
    for (const name of names.slice(0, Math.max(0, names.length - MOST))) if (name !== nameOf(number, act)) sessionStorage.removeItem(name);
  } catch {
    /* no storage */
  }
}

/** The tickets of which something typed is kept. */
export function typedNumbers(): Set<string> {
  return new Set(kept().map((name) => name.slice(PREFIX.length).split("/")[0] ?? ""));
}

/** Nothing of what was typed is left. */
export function forgetTyped(): void {
  for (const name of kept()) sessionStorage.removeItem(name);
}

const OWNER = "hotline-typed-of";
/** Who sits here: where it is somebody else than before, nothing of theirs is left. */
export function typedBy(login: string): void {
  try {
    if (sessionStorage.getItem(OWNER) !== login) forgetTyped();
    sessionStorage.setItem(OWNER, login);
  } catch {
    /* no storage */
  }
}
