const INVALID = "dialog [aria-invalid=true]";

/**
 * The focus goes to the first field of a dialog that is wrong, once the errors are drawn. What it is folded away in is opened.
 * @param selector of what else lacks something.
 */
export function focusFirstInvalid(selector: string = INVALID): void {
  requestAnimationFrame(() => {
    const field = document.querySelector<HTMLElement>(selector);
    const more = field?.closest("details");
    if (more) more.open = true;
    field?.focus();
  });
}
