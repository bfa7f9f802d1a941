import { create } from "zustand";

const useSaid = create<{ readonly text: string }>(() => ({ text: "" }));

/** Says it to who listens to the screen; whoever looks at it sees it happen. */
export function announce(text: string): void {
  // The same words twice are two events, and a region speaks only when its text changes.
  useSaid.setState((before) => ({ text: before.text === text ? `${text}\u00A0` : text }));
}

/** Where it is said. Mounted once. */
export function Announcer() {
  const text = useSaid((state) => state.text);
  return (
    <div className="visually-hidden" role="status" aria-live="assertive">
      {text}
    </div>
  );
}
