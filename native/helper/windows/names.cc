#include "names.h"

#include <windows.h>

#include <algorithm>

namespace sockeye {
namespace {

constexpr wchar_t kTable[] = L"SYSTEM\\CurrentControlSet\\Services\\Dnscache\\Parameters\\DnsPolicyConfig";
/** Where it is there, Windows uses no other table. */
constexpr wchar_t kPolicyTable[] = L"SOFTWARE\\Policies\\Microsoft\\Windows NT\\DNSClient\\DnsPolicyConfig";
constexpr wchar_t kRule[] = L"Sockeye-";
/** Windows passes over a rule with more names. */
constexpr size_t kMaxNames = 50;
// What a rule's values mean: [MS-GPNRPT] §2.2.2.
constexpr DWORD kRuleVersion = 2;
constexpr DWORD kServersOption = 0x8;

std::string failure(const char* what, LSTATUS error) {
  return std::string(what) + ": Windows error " + std::to_string(error);
}

std::wstring wide(const std::string& text) { return std::wstring(text.begin(), text.end()); }

/** A key that is closed. */
class Key {
 public:
  ~Key() {
    if (key != nullptr) RegCloseKey(key);
  }
  HKEY key = nullptr;
};

LSTATUS setText(HKEY key, const wchar_t* name, DWORD type, const std::wstring& text) {
  return RegSetValueExW(key, name, 0, type, reinterpret_cast<const BYTE*>(text.c_str()),
                        static_cast<DWORD>((text.size() + 1) * sizeof(wchar_t)));
}

LSTATUS setNumber(HKEY key, const wchar_t* name, DWORD value) {
  return RegSetValueExW(key, name, 0, REG_DWORD, reinterpret_cast<const BYTE*>(&value), sizeof value);
}

/** @param names each ends in a zero, as REG_MULTI_SZ has it. */
LSTATUS addRule(HKEY table, size_t number, const std::wstring& names, const std::wstring& servers) {
  Key rule;
  const std::wstring path = kRule + std::to_wstring(number);
  LSTATUS error = RegCreateKeyExW(table, path.c_str(), 0, nullptr, REG_OPTION_NON_VOLATILE, KEY_SET_VALUE, nullptr,
                                  &rule.key, nullptr);
  if (error == ERROR_SUCCESS) error = setText(rule.key, L"Name", REG_MULTI_SZ, names);
  if (error == ERROR_SUCCESS) error = setText(rule.key, L"GenericDNSServers", REG_SZ, servers);
  if (error == ERROR_SUCCESS) error = setNumber(rule.key, L"ConfigOptions", kServersOption);
  if (error == ERROR_SUCCESS) error = setNumber(rule.key, L"Version", kRuleVersion);
  return error;
}

LSTATUS ourRules(HKEY table, std::vector<std::wstring>& rules) {
  for (DWORD i = 0;; i++) {
    wchar_t name[256];
    DWORD length = 256;
    const LSTATUS error = RegEnumKeyExW(table, i, name, &length, nullptr, nullptr, nullptr, nullptr);
    if (error == ERROR_NO_MORE_ITEMS) return ERROR_SUCCESS;
    if (error != ERROR_SUCCESS) return error;
    const std::wstring found(name, length);
    if (found.compare(0, std::size(kRule) - 1, kRule) == 0) rules.push_back(found);
  }
}

/** Tells the system's resolver that its table has changed, and to forget what it knew. */
void tellResolver() {
  const SC_HANDLE services = OpenSCManagerW(nullptr, nullptr, SC_MANAGER_CONNECT);
  const SC_HANDLE resolver =
      services == nullptr ? nullptr : OpenServiceW(services, L"Dnscache", SERVICE_PAUSE_CONTINUE);
  SERVICE_STATUS status;
  if (resolver != nullptr) {
    ControlService(resolver, SERVICE_CONTROL_PARAMCHANGE, &status);
    CloseServiceHandle(resolver);
  }
  if (services != nullptr) CloseServiceHandle(services);
  const HMODULE library = LoadLibraryExW(L"dnsapi.dll", nullptr, LOAD_LIBRARY_SEARCH_SYSTEM32);
  if (library == nullptr) return;
  const auto flush = reinterpret_cast<BOOL(WINAPI*)()>(
      reinterpret_cast<void*>(GetProcAddress(library, "DnsFlushResolverCache")));
  if (flush != nullptr) flush();
  FreeLibrary(library);
}

bool isThere(const wchar_t* path) {
  Key key;
  return RegOpenKeyExW(HKEY_LOCAL_MACHINE, path, 0, KEY_READ, &key.key) == ERROR_SUCCESS;
}

}  // namespace

std::string setNames(const Dns& dns) {
  const std::string before = restoreNames();
  if (!before.empty()) return before;
  if (isThere(kPolicyTable)) return "a group policy of this machine sets name servers, and Windows takes no others beside it";
  Key table;
  LSTATUS error = RegCreateKeyExW(HKEY_LOCAL_MACHINE, kTable, 0, nullptr, REG_OPTION_NON_VOLATILE, KEY_CREATE_SUB_KEY,
                                  nullptr, &table.key, nullptr);
  std::wstring servers;
  for (const Address& server : dns.servers) servers += (servers.empty() ? L"" : L"; ") + wide(textOf(server));
  // A dot before a name means all below it, and the dot alone all there are.
  std::vector<std::wstring> names;
  for (const std::string& domain : dns.domains) names.push_back(L"." + wide(domain));
  if (names.empty()) names.push_back(L".");
  for (size_t at = 0; error == ERROR_SUCCESS && at < names.size(); at += kMaxNames) {
    std::wstring list;
    for (size_t i = at; i < std::min(at + kMaxNames, names.size()); i++) list.append(names[i]).push_back(L'\0');
    error = addRule(table.key, at / kMaxNames, list, servers);
  }
  if (error != ERROR_SUCCESS) return failure("writing a rule for names", error);
  tellResolver();
  return "";
}

std::string restoreNames() {
  Key table;
  LSTATUS error = RegOpenKeyExW(HKEY_LOCAL_MACHINE, kTable, 0, KEY_READ | KEY_WRITE | DELETE, &table.key);
  if (error == ERROR_FILE_NOT_FOUND) return "";
  std::vector<std::wstring> rules;
  if (error == ERROR_SUCCESS) error = ourRules(table.key, rules);
  if (error != ERROR_SUCCESS) return failure("reading the rules for names", error);
  if (rules.empty()) return "";
  for (const std::wstring& rule : rules) RegDeleteTreeW(table.key, rule.c_str());
  tellResolver();
  rules.clear();
  error = ourRules(table.key, rules);
  if (error != ERROR_SUCCESS) return failure("reading the rules for names again", error);
  return rules.empty() ? "" : "a rule for names could not be removed";
}

}  // namespace sockeye
