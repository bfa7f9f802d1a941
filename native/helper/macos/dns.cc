#include "dns.h"

#include <CoreFoundation/CoreFoundation.h>
#include <SystemConfiguration/SystemConfiguration.h>

namespace sockeye {
namespace {

#define SOCKEYE_DNS_KEY CFSTR("State:/Network/Service/Sockeye/DNS")

/** A reference that is released. */
template <typename Type>
class Held {
 public:
  explicit Held(Type value) : value_(value) {}
  ~Held() {
    if (value_ != nullptr) CFRelease(value_);
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  Type get() const { return value_; }

 private:
  Type value_;
};

/** This process's connection to the store, on which our entry's life hangs; kept until the process ends. */
SCDynamicStoreRef store() {
  static SCDynamicStoreRef connection = nullptr;
  if (connection == nullptr) connection = SCDynamicStoreCreate(kCFAllocatorDefault, CFSTR("sockeye-helper"), nullptr, nullptr);
  return connection;
}

std::string failure(const char* what) { return std::string(what) + ": " + SCErrorString(SCError()); }

void append(CFMutableArrayRef list, const std::string& text) {
  const Held<CFStringRef> value(CFStringCreateWithCString(kCFAllocatorDefault, text.c_str(), kCFStringEncodingUTF8));
  if (value.get() != nullptr) CFArrayAppendValue(list, value.get());
}

bool isThere() {
  const Held<CFPropertyListRef> value(SCDynamicStoreCopyValue(store(), SOCKEYE_DNS_KEY));
  return value.get() != nullptr;
}

}  // namespace

std::string setDns(const Dns& dns) {
  const std::string before = restoreDns();
  if (!before.empty()) return before;
  const Held<CFMutableArrayRef> servers(CFArrayCreateMutable(kCFAllocatorDefault, 0, &kCFTypeArrayCallBacks));
  for (const Address& server : dns.servers) append(servers.get(), textOf(server));
  const Held<CFMutableArrayRef> domains(CFArrayCreateMutable(kCFAllocatorDefault, 0, &kCFTypeArrayCallBacks));
  for (const std::string& domain : dns.domains) append(domains.get(), domain);
  // The empty domain is every name.
  if (dns.domains.empty()) append(domains.get(), "");

  const Held<CFMutableDictionaryRef> entry(CFDictionaryCreateMutable(
      kCFAllocatorDefault, 0, &kCFTypeDictionaryKeyCallBacks, &kCFTypeDictionaryValueCallBacks));
  CFDictionarySetValue(entry.get(), kSCPropNetDNSServerAddresses, servers.get());
  CFDictionarySetValue(entry.get(), kSCPropNetDNSSupplementalMatchDomains, domains.get());
  // They are not to be added to names without a dot. There is no public constant for this one.
  const int one = 1;
  const Held<CFNumberRef> yes(CFNumberCreate(kCFAllocatorDefault, kCFNumberIntType, &one));
  CFDictionarySetValue(entry.get(), CFSTR("SupplementalMatchDomainsNoSearch"), yes.get());
  if (!SCDynamicStoreAddTemporaryValue(store(), SOCKEYE_DNS_KEY, entry.get())) return failure("setting name servers");
  return "";
}

std::string restoreDns() {
  if (store() == nullptr) return failure("the system's settings");
  if (!isThere()) return "";
  SCDynamicStoreRemoveValue(store(), SOCKEYE_DNS_KEY);
  return isThere() ? failure("removing the name servers") : "";
}

}  // namespace sockeye
