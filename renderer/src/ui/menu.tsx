import { type KeyboardEvent, type ReactNode, useEffect, useId, useRef, useState } from "react";
import { IconButton } from "./button.tsx";
import styles from "./menu.module.css";

export type MenuItem =
  | {
      readonly label: string;
      readonly icon?: ReactNode;
      readonly onSelect: () => void;
      readonly disabled?: boolean;
      readonly danger?: boolean;
    }
  | "separator";

/** A button that opens a menu (WAI-ARIA menu button): arrows, Home, End, the first letter, Escape. */
export function MenuButton({
  label,
  icon,
  items,
}: {
  readonly label: string;
  readonly icon: ReactNode;
  readonly items: readonly MenuItem[];
}) {
  const [open, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const id = useId();
  const close = (refocus: boolean) => {
    setOpen(false);
    if (refocus) button.current?.focus();
  };
  return (
    <span className={styles["anchor"]}>
      <IconButton
        ref={button}
        label={label}
        icon={icon}
        aria-haspopup="menu"
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        onClick={() => setOpen(!open)}
        onKeyDown={(event) => {
          if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
          event.preventDefault();
          setOpen(true);
        }}
      />
      {open && <OpenMenu id={id} label={label} items={items} anchor={button.current} onClose={close} />}
    </span>
  );
}

function OpenMenu({
  id,
  label,
  items,
  anchor,
  onClose,
}: {
  readonly id: string;
  readonly label: string;
  readonly items: readonly MenuItem[];
  readonly anchor: HTMLElement | null;
  readonly onClose: (refocus: boolean) => void;
}) {
  const menu = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = menu.current;
    if (!element || !anchor) return;
    // On the top layer, so that no scrolled box cuts it off.
    element.showPopover();
    const { right, bottom, top } = anchor.getBoundingClientRect();
    const { width, height } = element.getBoundingClientRect();
    element.style.left = `${Math.max(8, right - width)}px`;
    element.style.top = `${bottom + 4 + height > window.innerHeight ? top - height - 4 : bottom + 4}px`;
    enabledItems(element)[0]?.focus();
  }, [anchor]);
  const onKeyDown = (event: KeyboardEvent) => {
    const all = enabledItems(menu.current);
    const at = all.indexOf(document.activeElement as HTMLButtonElement);
    const target = {
      ArrowDown: all[(at + 1) % all.length],
      ArrowUp: all[(at - 1 + all.length) % all.length],
      Home: all[0],
      End: all.at(-1),
    }[event.key];
    if (target) {
      event.preventDefault();
      target.focus();
    } else if (event.key === "Escape" || event.key === "Tab") {
      event.preventDefault();
      event.stopPropagation();
      onClose(true);
    } else if (event.key.length === 1) {
      const wanted = event.key.toLowerCase();
      [...all.slice(at + 1), ...all]
        .find((item) => item.textContent.trim().toLowerCase().startsWith(wanted))
        ?.focus();
    }
  };
  return (
    <div
      ref={menu}
      id={id}
      role="menu"
      aria-label={label}
      popover="manual"
      className={styles["menu"]}
      onKeyDown={onKeyDown}
      onBlur={(event) => {
        const next = event.relatedTarget;
        if (next === anchor) return;
        if (!event.currentTarget.contains(next)) onClose(false);
      }}
    >
      {items.map((item, index) =>
        item === "separator" ? (
          <div key={index} role="separator" className={styles["separator"]} />
        ) : (
          <button
            key={index}
            type="button"
            role="menuitem"
            tabIndex={-1}
            disabled={item.disabled}
            className={item.danger === true ? `${styles["item"]} ${styles["danger"]}` : styles["item"]}
            onClick={() => {
              onClose(true);
              item.onSelect();
            }}
          >
            {item.icon}
            {item.label}
          </button>
        ),
      )}
    </div>
  );
}

function enabledItems(menu: HTMLElement | null): HTMLButtonElement[] {
  return menu ? [...menu.querySelectorAll<HTMLButtonElement>("[role=menuitem]:enabled")] : [];
}
