import type { ControlExplanation } from "@sockeye/engine/control/contract";
import { useState } from "react";
import { call } from "../../engine/engine.ts";
import { parseTarget } from "../../engine/target.ts";
import { failureText } from "../../i18n/failure.ts";
import { type Text, useText } from "../../i18n/text.ts";
import { Button } from "../../ui/button.tsx";
import { TextInput } from "../../ui/field.tsx";
import { Card } from "../../ui/surface.tsx";
import styles from "./home.module.css";

/** Which way a target would go, and why, without sending anything. */
export function WhatWouldItTake() {
  const text = useText();
  const [input, setInput] = useState("");
  const [answer, setAnswer] = useState<ControlExplanation | string>();
  const look = async () => {
    const target = parseTarget(input);
    if (!target) {
      setAnswer(text.home.tryBad);
      return;
    }
    try {
      setAnswer(await call("explain", { target }));
    } catch (error) {
      setAnswer(failureText(text, error));
    }
  };
  return (
    <Card title={text.home.try}>
      <form
        className={styles["try"]}
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void look();
        }}
      >
        <TextInput
          aria-label={text.home.tryHint}
          placeholder="example.com:443"
          mono
          value={input}
          maxLength={300}
          onChange={({ target }) => setInput(target.value)}
        />
        <Button submit>{text.home.trySubmit}</Button>
      </form>
      <p className={styles["answer"]} role="status">
        {typeof answer === "string" ? answer : answer && <Explanation answer={answer} text={text} />}
      </p>
    </Card>
  );
}

function Explanation({ answer, text }: { readonly answer: ControlExplanation; readonly text: Text }) {
  const { target, to, rule, matched, chain } = answer;
  const host = target.host.includes(":") ? `[${target.host}]` : target.host;
  const way =
    to === "direct"
      ? text.home.takesDirect
      : to === "block"
        ? text.home.takesBlock
        : text.home.takesThrough(chain.join(" → "));
  return (
    <>
      {text.home.takes(`${host}:${target.port}`)} <strong>{way}</strong>{" "}
      <span>{rule === undefined ? text.home.noRule : text.home.rule(rule + 1, matched)}</span>
    </>
  );
}
