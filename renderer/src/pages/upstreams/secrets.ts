import type { CallParams, CallResult } from "@sockeye/engine/control/contract";
import { useEffect, useState } from "react";
import { call } from "../../engine/engine.ts";
import type { SecretName } from "./form.ts";
import { referenceOf, type SecretReference } from "./secret-input.ts";

export type SecretSupport = CallResult<"secret.support">;

/** Where a secret is to be kept. `ask`: nowhere; the engine asks for it when it needs it. */
export type Keeping = "keychain" | "file" | "ask";

/** Undefined until the engine has answered; an engine that can't say has no keychain. */
export function useSecretSupport(): SecretSupport | undefined {
  const [support, setSupport] = useState<SecretSupport>();
  useEffect(() => {
    let gone = false;
    call("secret.support", {}).then(
      (answer) => {
        if (!gone) setSupport(answer);
      },
      (error: unknown) => {
        if (!gone) setSupport({ keychain: false, reason: error instanceof Error ? error.message : "" });
      },
    );
    return () => {
      gone = true;
    };
  }, []);
  return support;
}

/** The system may ask the person to open the keychain first. */
const STORE_DEADLINE_MS = 120_000;

/**
 * Stores one secret.
 * @returns what stands for it in the file.
 * @throws {ControlError} no-secret-store, unavailable.
 */
export async function storeSecret(secret: CallParams<"secret.store">): Promise<SecretReference> {
  const { reference } = await call("secret.store", secret, { timeoutMs: STORE_DEADLINE_MS });
  return referenceOf(reference);
}

/**
 * Stores secrets of one upstream.
 * @returns what stands for each in the file; nothing for `ask`.
 * @throws {ControlError} no-secret-store, unavailable.
 */
export async function storeSecrets(
  upstream: string,
  secrets: readonly { readonly kind: SecretName; readonly value: string }[],
  where: Keeping,
): Promise<Partial<Record<SecretName, SecretReference>>> {
  const references: Partial<Record<SecretName, SecretReference>> = {};
  if (where === "ask") return references;
  for (const secret of secrets) {
    references[secret.kind] = await storeSecret({ upstream, ...secret, where });
  }
  return references;
}
