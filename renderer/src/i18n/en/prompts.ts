export const prompts = {
  behind: (count: number) => (count === 1 ? "1 more question waits" : `${count} more questions wait`),
  tooLate: "Nobody waits for that answer any more.",
  decline: "Do not answer",
  notKept: "It is used for this connection and not kept.",
  hostKey: {
    title: "Do you trust this host?",
    lead: (upstream: string) => `${upstream} connects to a host that was never seen before.`,
    host: "Host",
    type: "Key",
    fingerprint: "Fingerprint",
    about:
      "Compare the fingerprint with the one that whoever runs the host gives you. If it differs, somebody may be listening in between. Once trusted, the key is remembered, and a change of it is refused.",
    yes: "Trust and remember",
    no: "Do not connect",
  },
  passphrase: {
    title: "Passphrase",
    lead: (upstream: string) => `${upstream} logs in with a private key that is locked:`,
    label: "Passphrase of the key",
    again: "That passphrase does not open the key.",
    submit: "Unlock",
  },
  password: {
    title: "Password",
    lead: (upstream: string, user: string, host: string) => `${upstream} logs in as ${user} at ${host}.`,
    label: "Password",
    again: "The server did not accept that password.",
    submit: "Log in",
  },
  interactive: {
    title: "The server has a question",
    lead: (upstream: string) => `${upstream} can log in once this is answered.`,
    says: "The server says:",
    label: "Your answer",
    submit: "Answer",
  },
};
