#!/bin/sh
# Before the files go. dpkg says "upgrade" and rpm says 1 where another version takes their place; dpkg has more words for what is
# not the end.
set -e

case "${1:-}" in
  remove | 0) ;;
  *) exit 0 ;;
esac
if [ -d /run/systemd/system ]; then
  systemctl disable --now sockeye-helper.socket sockeye-helper.service || true
fi
# Routes, name servers and a kill switch that a session left.
if [ -x /usr/lib/sockeye/sockeye-helper ]; then /usr/lib/sockeye/sockeye-helper --cleanup || true; fi
