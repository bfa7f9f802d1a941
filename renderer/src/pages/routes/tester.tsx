import type { ControlExplanation } from "@sockeye/engine/control/contract";
import { useState } from "react";
import { call } from "../../engine/engine.ts";
import { parseTarget } from "../../engine/target.ts";
import { failureText } from "../../i18n/failure.ts";
import { useText } from "../../i18n/text.ts";
import { Button } from "../../ui/button.tsx";
import { TextInput } from "../../ui/field.tsx";
import { Card } from "../../ui/surface.tsx";
import styles from "./routes.module.css";

/** Which rule wins for a target, and why. */
export function Tester() {
  const text = useText();
  const [input, setInput] = useState("");
  const [answer, setAnswer] = useState<ControlExplanation | string>();
  const look = async () => {
    const target = parseTarget(input);
    try {
      setAnswer(target ? await call("explain", { target }) : text.routes.testerBad);
    } catch (error) {
      setAnswer(failureText(text, error));
    }
  };
  return (
    <Card title={text.routes.tester}>
      <form
        className={styles["tester"]}
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void look();
        }}
      >
        <TextInput
          aria-label={text.routes.tester}
          placeholder={text.routes.testerPlaceholder}
          mono
          maxLength={300}
          value={input}
          onChange={({ target }) => setInput(target.value)}
        />
        <Button submit>{text.routes.test}</Button>
      </form>
      <div className={styles["answer"]} role="status">
        {typeof answer === "string" ? answer : answer && <Answer answer={answer} />}
      </div>
    </Card>
  );
}

function Answer({ answer }: { readonly answer: ControlExplanation }) {
  const { routes } = useText();
  const way =
    answer.to === "direct"
      ? routes.direct
      : answer.to === "block"
        ? routes.nowhere
        : routes.through(answer.chain.join(" → "));
  return (
    <>
      <p>
        <strong>{answer.rule === undefined ? routes.noRule : routes.winner(answer.rule + 1)}</strong>{" "}
        {answer.rule !== undefined && <code>{answer.matched}</code>}
      </p>
      <p className={styles["soft"]}>{routes.goes(way)}</p>
    </>
  );
}
