// What has been changed, or is about to be, written down before it is. It lies where a reboot clears it, as a reboot clears
// what it tells of; the one change that outlives a reboot has a journal of its own (dns.h).
#ifndef SOCKEYE_JOURNAL_H
#define SOCKEYE_JOURNAL_H

#include <cstdint>
#include <string>

namespace sockeye {

/** `pending`: on its way in or out. Only one that is on outlives its client. */
enum class KillSwitch : uint8_t { off, pending, on };

struct Journal {
  KillSwitch killSwitch = KillSwitch::off;
  /** The device whose DNS systemd-resolved was told; 0 for none. */
  uint32_t dnsDevice = 0;
  std::string dnsDeviceName;
};

/** One that is missing or can't be read says that nothing but what carries our origin is to be undone. */
Journal loadJournal();
/** @returns 0 or an errno. */
int saveJournal(const Journal& journal);
int removeJournal();

}  // namespace sockeye

#endif
