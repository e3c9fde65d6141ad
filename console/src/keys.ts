// Keyboard commands: registered by whatever is on screen, listed under ? and in the command palette.
import { onBeforeUnmount, onMounted, shallowReactive } from "vue";

export interface Command {
  /** «Alt+D», «F3», «j», «?»; letters alone only work outside of input fields. */
  keys?: string;
  title: string;
  group: string;
  run: () => void;
}

export const commands = shallowReactive(new Set<Command>());

const named = (event: KeyboardEvent): string => {
  const key = event.code.startsWith("Key") && event.altKey ? event.code.slice(3) : event.key; // Alt+letter is a sign on some layouts
  const parts = [event.ctrlKey || event.metaKey ? "Ctrl" : "", event.altKey ? "Alt" : "", key.length === 1 && !event.altKey && !event.ctrlKey ? key : key.length === 1 ? key.toUpperCase() : key];
  return parts.filter(Boolean).join("+");
};
const typing = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
/** What arrives late moves the focus only where nobody types by now: their next letters would land in another field. */
export const unlessTyping = (focus: () => unknown): void => void (typing(document.activeElement) || focus());

function dispatch(event: KeyboardEvent): void {
  if (event.isComposing || event.defaultPrevented) return;
  const keys = named(event);
  const plain = event.key.length === 1 && !event.altKey && !event.ctrlKey && !event.metaKey;
  if (plain && (typing(event.target) || document.querySelector(".el-overlay:not([style*='display: none']) [role=dialog]"))) return;
  const command = [...commands].reverse().find((one) => one.keys === keys);
  if (!command) return;
  event.preventDefault();
  command.run();
}
window.addEventListener("keydown", dispatch);

/** These commands while the component is on screen; the newest of the same keys wins. */
export function useCommands(list: Command[]): void {
  onMounted(() => list.forEach((one) => commands.add(one)));
  onBeforeUnmount(() => list.forEach((one) => commands.delete(one)));
}
