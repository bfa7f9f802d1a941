export interface PressedKeys {
  readonly key: string;
  readonly code: string;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly altKey: boolean;
  readonly shiftKey: boolean;
}

/** What is pressed as Electron writes it (`CommandOrControl+Shift+K`); undefined for keys that one types text with. */
export function shortcutOf(pressed: PressedKeys): string | undefined {
  const { code, ctrlKey, metaKey, altKey, shiftKey } = pressed;
  const main =
    /^Key([A-Z])$/.exec(code)?.[1] ?? /^Digit(\d)$/.exec(code)?.[1] ?? /^(F\d{1,2})$/.exec(code)?.[1];
  if (main === undefined) return undefined;
  const modifiers = [
    ...(ctrlKey || metaKey ? ["CommandOrControl"] : []),
    ...(altKey ? ["Alt"] : []),
    ...(shiftKey ? ["Shift"] : []),
  ];
  // Shift alone, or nothing, is how letters are written.
  const takesText = modifiers.length === 0 || (modifiers.length === 1 && shiftKey);
  if (takesText && main.length === 1) return undefined;
  return [...modifiers, main].join("+");
}
