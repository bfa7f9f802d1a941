/** A question that only a person can answer, while an upstream connects. */
export type Prompt =
  | {
      readonly kind: "passphrase";
      readonly upstream: string;
      readonly file: string;
      /** The answer before does not open it. */
      readonly again?: true;
    }
  | {
      readonly kind: "password";
      readonly upstream: string;
      readonly user: string;
      readonly host: string;
      /** The server refused the answer before. */
      readonly again?: true;
    }
  | {
      readonly kind: "keyboard-interactive";
      readonly upstream: string;
      readonly title: string;
      readonly instructions: string;
      readonly prompt: string;
      readonly echo: boolean;
    }
  /** Whether to trust a host never seen before: "yes" does, anything else does not. */
  | {
      readonly kind: "host-key";
      readonly upstream: string;
      readonly host: string;
      /** `ssh-ed25519`, … */
      readonly keyType: string;
      /** `SHA256:…`, as OpenSSH writes it. */
      readonly fingerprint: string;
    };

/** Asks. Absent where nobody is there to answer: then the method that needs the answer is skipped. */
export interface Prompter {
  /** False while nobody is there, which may change; nothing is asked then. Default true. */
  readonly present?: boolean;
  /** @returns the answer, or undefined when the person declines or the signal fires. */
  ask(prompt: Prompt, signal: AbortSignal): Promise<string | undefined>;
}
