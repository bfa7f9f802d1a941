import type { CipherAlgorithm } from "ssh2";

/** Ciphers in our order of preference, for ssh2's `algorithms`. */
export function preferredAlgorithms(): { cipher: CipherAlgorithm[] } {
  return {
    cipher: ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr"],
  };
}
