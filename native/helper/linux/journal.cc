#include "journal.h"

#include <net/if.h>

#include <cstdio>

#include "files.h"

namespace sockeye {
namespace {

std::string path() { return std::string(kRunFolder) + "/journal"; }

}  // namespace

Journal loadJournal() {
  Journal journal;
  std::string content;
  if (readFile(path().c_str(), content) != 0) return journal;
  unsigned killSwitch = 0;
  unsigned device = 0;
  char name[IFNAMSIZ] = "";
  const int fields = std::sscanf(content.c_str(), "sockeye 1\nkill-switch %1u\ndns %10u %15[a-z0-9]", &killSwitch,
                                 &device, name);
  if (fields >= 1 && killSwitch <= 2) journal.killSwitch = static_cast<KillSwitch>(killSwitch);
  if (fields == 3) {
    journal.dnsDevice = device;
    journal.dnsDeviceName = name;
  }
  return journal;
}

int saveJournal(const Journal& journal) {
  const std::string content = "sockeye 1\nkill-switch " + std::to_string(static_cast<int>(journal.killSwitch)) +
                              "\ndns " + std::to_string(journal.dnsDevice) + " " + journal.dnsDeviceName + "\n";
  return replaceFile(path(), content, {0600, 0, 0});
}

int removeJournal() { return removeFile(path()); }

}  // namespace sockeye
