import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowDown } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { useFormat, useText } from "../../i18n/text.ts";
import { Button } from "../../ui/button.tsx";
import { fieldsText, type Line } from "./log-lines.ts";
import styles from "./logs.module.css";

const LINE_HEIGHT = 24;
/** Within this of the end, one is reading the newest, and the page follows. */
const FOLLOW_PX = 40;

/** Lines of any number, of which only those on the screen are there. It follows the newest until one scrolls up. */
export function LogList({ lines }: { readonly lines: readonly Line[] }) {
  const text = useText();
  const format = useFormat();
  const box = useRef<HTMLDivElement>(null);
  const [following, setFollowing] = useState(true);
  const [seen, setSeen] = useState(0);
  const virtual = useVirtualizer({
    count: lines.length,
    getScrollElement: () => box.current,
    getItemKey: (index) => lines[index]?.id ?? index,
    estimateSize: () => LINE_HEIGHT,
    overscan: 20,
  });
  const newest = lines.at(-1)?.id ?? 0;
  useEffect(() => {
    if (!following) return;
    virtual.scrollToIndex(lines.length - 1, { align: "end" });
    setSeen(newest);
  }, [following, newest, lines.length, virtual]);
  const unseen = following ? 0 : lines.filter(({ id }) => id > seen).length;

  return (
    <>
      <div
        ref={box}
        className={styles["lines"]}
        role="log"
        aria-live="off"
        aria-label={text.logs.title}
        tabIndex={0}
        onScroll={({ currentTarget: { scrollHeight, scrollTop, clientHeight } }) => {
          setFollowing(scrollHeight - scrollTop - clientHeight < FOLLOW_PX);
        }}
      >
        <div className={styles["space"]} style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map(({ index, key, start }) => {
            const line = lines[index];
            if (!line) return null;
            return (
              <div
                key={key}
                ref={virtual.measureElement}
                data-index={index}
                className={styles["line"]}
                style={{ transform: `translateY(${start}px)` }}
              >
                {"dropped" in line ? (
                  <span className={styles["gap"]}>{text.logs.dropped(line.dropped)}</span>
                ) : (
                  <>
                    <time className={styles["time"]} title={new Date(line.time).toISOString()}>
                      {format.time(line.time)}
                    </time>
                    <span className={`${styles["level"]} ${styles[line.level] ?? ""}`}>{line.level}</span>
                    <span className={styles["message"]}>
                      {line.message} <span className={styles["fields"]}>{fieldsText(line)}</span>
                    </span>
                  </>
                )}
              </div>
            );
          })}
        </div>
      </div>
      {unseen > 0 && (
        <div className={styles["toEnd"]}>
          <Button kind="primary" icon={<ArrowDown size={14} />} onClick={() => setFollowing(true)}>
            {text.logs.toEnd(unseen)}
          </Button>
        </div>
      )}
    </>
  );
}
