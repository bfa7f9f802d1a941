#!/bin/sh
# After the files are gone. dpkg says "upgrade" and rpm says 1 where another version took their place, and dpkg has other words for
# an upgrade that came to nothing: only what says that the package goes takes anything away.
set -e

case "${1:-}" in
  remove | purge | 0) ;;
  *) exit 0 ;;
esac
rm -f /usr/bin/sockeye-desktop
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
# rpm leaves folders that it does not own.
rm -rf /opt/Sockeye /usr/lib/sockeye /var/lib/sockeye
if getent group sockeye >/dev/null; then groupdel sockeye || true; fi
