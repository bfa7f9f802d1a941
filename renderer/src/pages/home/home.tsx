import { useText } from "../../i18n/text.ts";
import { ConnectCard } from "./connect-card.tsx";
import { Figures } from "./figures.tsx";
import styles from "./home.module.css";
import { Throughput } from "./throughput.tsx";
import { WhatWouldItTake } from "./what-would-it-take.tsx";
import surface from "../../ui/surface.module.css";

export function HomePage() {
  const text = useText();
  return (
    <div className={surface["page"]}>
      <div className={surface["pageBody"]}>
        <div className={`${surface["measure"]} ${styles["home"]}`}>
          <span className="visually-hidden">{text.home.title}</span>
          <ConnectCard />
          <Figures />
          <Throughput />
          <WhatWouldItTake />
        </div>
      </div>
    </div>
  );
}
