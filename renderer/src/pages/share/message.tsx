import type { KeptBodyView, RequestDetail } from "@sockeye/engine/control/contract";
import { Copy } from "lucide-react";
import type { ReactNode } from "react";
import { copyText } from "../../desktop/shell.ts";
import { useFormat, useText } from "../../i18n/text.ts";
import { IconButton } from "../../ui/button.tsx";
import { toast, toastFailure } from "../../ui/toast.tsx";
import styles from "./inspector.module.css";

/** Headers and body of a request or an answer. */
export function Message({
  title,
  message,
  about,
}: {
  readonly title: string;
  readonly message: RequestDetail["request"];
  readonly about?: ReactNode;
}) {
  const words = useText().share.inspector;
  return (
    <section className={styles["message"]}>
      <h3>
        {title} {about}
      </h3>
      <dl className={styles["headers"]} aria-label={`${title}: ${words.headers}`}>
        {message.headers.map(({ name, value, secret }, index) => (
          <div key={index}>
            <dt>{name}</dt>
            <dd title={secret === true && value === "•••" ? words.secret : undefined}>{value}</dd>
          </div>
        ))}
      </dl>
      <Body body={message.body} of={title} />
    </section>
  );
}

function Body({ body, of }: { readonly body: KeptBodyView; readonly of: string }) {
  const text = useText();
  const words = text.share.inspector;
  const format = useFormat();
  const { bytes, kept, cut, text: content, hex, decoded } = body;
  if (bytes === 0) return <p className={styles["soft"]}>{words.noBody}</p>;
  const notes = [
    ...(cut ? [words.cut(format.bytes(kept), format.bytes(bytes))] : []),
    ...(decoded === true ? [words.decoded] : []),
    ...(content === undefined ? [words.binary(format.bytes(bytes))] : []),
  ];
  const copy = () => {
    copyText(content ?? "").then(() => toast({ message: text.common.copied }), toastFailure);
  };
  return (
    <div className={styles["body"]}>
      <pre tabIndex={0} role="region" aria-label={`${of}: ${words.body}`}>
        {content === undefined ? spaced(hex ?? "") : readable(content)}
      </pre>
      {notes.length > 0 && <p className={styles["soft"]}>{notes.join(" · ")}</p>}
      {content !== undefined && (
        <span className={styles["copy"]}>
          <IconButton label={words.copyBody} icon={<Copy size={14} />} onClick={copy} />
        </span>
      )}
    </div>
  );
}

/** JSON in lines; all else as it came. */
function readable(content: string): string {
  if (!/^\s*[[{]/.test(content)) return content;
  try {
    return JSON.stringify(JSON.parse(content), undefined, 2);
  } catch {
    return content;
  }
}

/** Sixteen bytes a line. */
function spaced(hex: string): string {
  const bytes = hex.match(/../g) ?? [];
  return bytes.map((byte, index) => byte + (index % 16 === 15 ? "\n" : " ")).join("");
}
