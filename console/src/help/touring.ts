// 引导: whether somebody has been shown around. Remembered in this browser, by login; where nothing can be kept, nobody is bothered.
import type { Step } from "./tours";

const nameOf = (login: string): string => `hotline-toured:${login}`;

export function hasToured(login: string): boolean {
  try {
    return localStorage.getItem(nameOf(login)) !== null;
  } catch {
    return true;
  }
}
export function keepToured(login: string): void {
  try {
    localStorage.setItem(nameOf(login), new Date().toISOString());
  } catch {
    /* then it is offered under ? only */
  }
}

export interface Stop extends Step {
  element: HTMLElement | null;
}
/** The steps whose element is on screen, and those that point at none. */
export function stopsOf(steps: Step[], page: ParentNode): Stop[] {
  return steps.flatMap((step): Stop[] => {
    if (!step.at) return [{ ...step, element: null }];
    for (const selector of [step.at].flat()) {
      const element = page.querySelector<HTMLElement>(selector);
      if (element && element.getClientRects().length) return [{ ...step, element }];
    }
    return [];
  });
}

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}
/** Where a card stands so that it hides as little as possible of what it tells of: below, above, right, left, else in the lower right corner. */
export function placeOf(target: Box | null, card: { width: number; height: number }, screen: { width: number; height: number }, gap = 14): { left: number; top: number } {
  const within = (at: number, size: number, most: number) => Math.max(8, Math.min(at, most - size - 8));
  if (!target) return { left: within((screen.width - card.width) / 2, card.width, screen.width), top: within(screen.height * 0.22, card.height, screen.height) };
  const [right, bottom] = [target.left + target.width, target.top + target.height];
  const beside = within(target.top, card.height, screen.height);
  const along = within(target.left, card.width, screen.width);
  if (bottom + gap + card.height + 8 <= screen.height) return { left: along, top: bottom + gap };
  if (target.top - gap - card.height >= 8) return { left: along, top: within(target.top - gap - card.height, card.height, screen.height) };
  if (right + gap + card.width + 8 <= screen.width) return { left: right + gap, top: beside };
  if (target.left - gap - card.width >= 8) return { left: within(target.left - gap - card.width, card.width, screen.width), top: beside };
  return { left: within(screen.width, card.width, screen.width), top: within(screen.height, card.height, screen.height) };
}
