export const helper = {
  title: "The helper",
  short:
    "TUN mode captures traffic of every program. Only a small privileged program may do that for Sockeye: the helper.",
  states: {
    running: (version: string) => `Installed and running, version ${version}`,
    busy: "Installed, and serving another engine",
    absent: "Not installed",
    foreign: (version: string) => `Another version is installed: ${version}`,
    unsupported: "Not available on this system",
  },
  setupTitle: "TUN mode needs the helper",
  updateTitle: "The helper is of another version",
  may: "What it may do",
  mayList: [
    "Open one network device, and give it addresses",
    "Set routes and name servers for the networks that you capture",
    "Undo all of that, at once when Sockeye ends, however it ends",
  ],
  mayNot: "What it never does",
  mayNotList: [
    "Read your traffic: packets are handled by Sockeye, without privileges",
    "Run a program, or read a file, that anybody names to it",
    "Listen to the network, or to other users of this machine",
  ],
  remove: "How it goes away",
  removeText:
    "Remove it here in the settings, before you remove Sockeye. One that a deb or rpm package brought goes with its package.",
  once: "Your system asks for an administrator’s password once, now. Afterwards there is no prompt.",
  install: "Install the helper",
  update: "Update the helper",
  uninstall: "Remove the helper",
  removed: "The helper is gone, and what it had set is undone.",
  declined: "It was not installed: the system’s prompt was declined.",
  browser: "In a browser Sockeye can’t install it. In a terminal, start the engine with its privileges:",
  browserCommand: "sudo sockeye run --ui --config FILE",
};
