/** A name is part of a file's name in the folder of running engines. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

export function isEngineName(name: string): boolean {
  return NAME.test(name);
}
