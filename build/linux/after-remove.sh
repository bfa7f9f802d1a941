#!/bin/sh
# After the files are gone. dpkg says "upgrade" and rpm says 1 where another version took their place.
set -e

case "${1:-}" in
  upgrade | 1) exit 0 ;;
esac
rm -f /usr/bin/sockeye-desktop
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
rm -rf /usr/lib/sockeye /var/lib/sockeye
if getent group sockeye >/dev/null; then groupdel sockeye || true; fi
