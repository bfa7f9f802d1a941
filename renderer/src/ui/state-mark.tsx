import styles from "./state-mark.module.css";

export type MarkState = "off" | "connecting" | "connected" | "trouble" | "blocked";

/**
 * A state as a shape: an empty ring, a ring with a gap, a full disc, a triangle, a barred square. So it is told without
 * colour too. Whoever shows it says it in words beside it.
 */
export function StateMark({ state, size = 10 }: { readonly state: MarkState; readonly size?: number }) {
  const box = { width: size, height: size, viewBox: "0 0 10 10", "aria-hidden": true } as const;
  const line = { fill: "none", stroke: "currentColor", strokeWidth: 1.8 } as const;
  switch (state) {
    case "off":
      return (
        <svg {...box} className={styles["mark"]}>
          <circle cx="5" cy="5" r="3.9" {...line} />
        </svg>
      );
    case "connecting":
      return (
        <svg {...box} className={`${styles["mark"]} ${styles["warn"]} ${styles["turning"]}`}>
          <circle cx="5" cy="5" r="3.9" {...line} strokeDasharray="17 8" />
        </svg>
      );
    case "connected":
      return (
        <svg {...box} className={`${styles["mark"]} ${styles["good"]}`}>
          <circle cx="5" cy="5" r="4.6" fill="currentColor" />
        </svg>
      );
    case "trouble":
      return (
        <svg {...box} className={`${styles["mark"]} ${styles["bad"]}`}>
          <path d="M5 .6 9.7 9.2H.3Z" fill="currentColor" />
        </svg>
      );
    case "blocked":
      return (
        <svg {...box} className={styles["mark"]}>
          <rect x="1" y="1" width="8" height="8" rx="1.5" {...line} />
          <path d="m2 8 6-6" {...line} />
        </svg>
      );
  }
}
