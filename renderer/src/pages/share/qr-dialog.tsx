import { Copy } from "lucide-react";
import { useMemo } from "react";
import { encode } from "uqr";
import { copyText } from "../../desktop/shell.ts";
import { useText } from "../../i18n/text.ts";
import { Button } from "../../ui/button.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { toast, toastFailure } from "../../ui/toast.tsx";
import styles from "./share.module.css";

/** The address for a telephone's camera. */
export function QrDialog({
  name,
  address,
  onClose,
}: {
  readonly name: string;
  readonly address: string;
  readonly onClose: () => void;
}) {
  const text = useText();
  const { size, path } = useMemo(() => pathOf(address), [address]);
  const copy = () => {
    copyText(address).then(() => toast({ message: text.share.copied }), toastFailure);
  };
  return (
    <Dialog
      title={name}
      onClose={onClose}
      foot={
        <Button icon={<Copy size={15} />} onClick={copy} data-first-focus>
          {text.common.copy}
        </Button>
      }
    >
      <div className={styles["qr"]}>
        <svg
          viewBox={`0 0 ${size} ${size}`}
          role="img"
          aria-label={text.share.qrAlt(address)}
          shapeRendering="crispEdges"
        >
          <path d={path} />
        </svg>
        <p>{address}</p>
      </div>
    </Dialog>
  );
}

/** Dark modules as one path, a run of them a rectangle. The border of four modules is the code's own (ISO/IEC 18004). */
function pathOf(address: string): { size: number; path: string } {
  const { data, size } = encode(address, { ecc: "M", border: 4 });
  const runs: string[] = [];
  for (const [y, row] of data.entries()) {
    for (let x = 0; x < row.length; x++) {
      if (row[x] !== true) continue;
      const from = x;
      while (row[x + 1] === true) x++;
      runs.push(`M${from} ${y}h${x - from + 1}v1H${from}z`);
    }
  }
  return { size, path: runs.join("") };
}
