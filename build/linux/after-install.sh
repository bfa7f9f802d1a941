#!/bin/sh
# After the files of the deb or rpm are there. It may run again at each upgrade.
set -e

ln -sf "/opt/Sockeye/sockeye" /usr/bin/sockeye-desktop
# Chromium's sandbox where unprivileged user namespaces are forbidden.
if [ -e /opt/Sockeye/chrome-sandbox ]; then
  chown root:root /opt/Sockeye/chrome-sandbox
  chmod 4755 /opt/Sockeye/chrome-sandbox
fi

groupadd --system --force sockeye
chown -R root:root /usr/lib/sockeye
chmod 755 /usr/lib/sockeye /usr/lib/sockeye/*
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  # A helper that runs goes on with its client; the next one is the new one.
  systemctl enable --now sockeye-helper.socket
fi
if command -v update-desktop-database >/dev/null; then update-desktop-database -q || true; fi
