#include "dns.h"

#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "files.h"

namespace sockeye {
namespace {

constexpr char kResolvectl[] = "/usr/bin/resolvectl";
constexpr char kResolvConf[] = "/etc/resolv.conf";
/** How often it is looked whether resolvectl has ended, and how many times: 5 seconds. */
constexpr useconds_t kPauseUs = 10'000;
constexpr int kPatience = 500;

std::string originalPath() { return std::string(kStateFolder) + "/resolv.conf.original"; }
std::string oursPath() { return std::string(kStateFolder) + "/resolv.conf.ours"; }

std::string failure(const std::string& what, int error) { return what + ": " + std::strerror(error); }

bool startsWith(const std::string& text, const std::string& start) { return text.compare(0, start.size(), start) == 0; }

/** What resolvectl prints for one link is far shorter, and waits in the pipe until it has ended. */
constexpr size_t kMaxPrinted = 4096;

/** Runs resolvectl, with an environment of its own. @returns "", or how it ended; `printed` is its standard output. */
std::string resolvectl(const std::vector<std::string>& words, std::string* printed = nullptr) {
  std::vector<char*> args{const_cast<char*>(kResolvectl)};
  for (const std::string& word : words) args.push_back(const_cast<char*>(word.c_str()));
  args.push_back(nullptr);
  char* const environment[] = {const_cast<char*>("LC_ALL=C"), nullptr};

  int output[2];
  if (pipe2(output, O_CLOEXEC) != 0) return failure("pipe", errno);
  const pid_t child = fork();
  if (child < 0) {
    const std::string problem = failure("fork", errno);
    close(output[0]);
    close(output[1]);
    return problem;
  }
  if (child == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    const int nothing = open("/dev/null", O_RDWR);
    dup2(nothing, STDIN_FILENO);
    dup2(output[1], STDOUT_FILENO);
    execve(kResolvectl, args.data(), environment);
    _exit(127);
  }
  close(output[1]);
  int status = 0;
  bool late = false;
  for (int waited = 0; waitpid(child, &status, WNOHANG) == 0; waited++) {
    late = waited == kPatience;
    if (late) {
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      break;
    }
    usleep(kPauseUs);
  }
  char buffer[kMaxPrinted];
  const ssize_t size = late ? 0 : read(output[0], buffer, sizeof buffer);
  close(output[0]);
  if (late) return "resolvectl " + words[0] + " took too long";
  if (printed != nullptr) printed->assign(buffer, size > 0 ? static_cast<size_t>(size) : 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return "";
  return "resolvectl " + words[0] + " failed";
}

std::string setLinkDns(const Dns& dns, Journal& journal) {
  const std::string& link = journal.dnsDeviceName;
  std::vector<std::string> servers{"dns", link};
  for (const Address& server : dns.servers) servers.push_back(textOf(server));
  // `~`: names below it are asked here, and it is not added to names without a dot. `~.` is every name.
  std::vector<std::string> domains{"domain", link};
  for (const std::string& domain : dns.domains) domains.push_back("~" + domain);
  if (dns.domains.empty()) domains.push_back("~.");

  std::string problem = resolvectl(servers);
  if (problem.empty()) problem = resolvectl(domains);
  if (problem.empty()) problem = resolvectl({"default-route", link, dns.domains.empty() ? "yes" : "no"});
  return problem;
}

std::string restoreLinkDns(Journal& journal) {
  const bool isThere = if_nametoindex(journal.dnsDeviceName.c_str()) == journal.dnsDevice;
  std::string problem = isThere ? resolvectl({"revert", journal.dnsDeviceName}) : "";
  // `Link 5 (sockeye0):` and servers behind the colon, where there are any.
  std::string left;
  if (isThere && problem.empty()) problem = resolvectl({"dns", journal.dnsDeviceName}, &left);
  const size_t colon = left.find("):");
  if (colon != std::string::npos && left.find_first_not_of(" \n", colon + 2) != std::string::npos)
    problem = "systemd-resolved still has name servers for " + journal.dnsDeviceName;
  // With the link its settings are gone, whatever resolvectl said of it.
  if (!problem.empty() && if_nametoindex(journal.dnsDeviceName.c_str()) == journal.dnsDevice) return problem;
  journal.dnsDevice = 0;
  journal.dnsDeviceName.clear();
  return "";
}

/** Our servers, with the original's other lines, so that short names still work. Names are not split by domain here. */
std::string resolvConfFor(const Dns& dns, const std::string& original) {
  std::string text = "# Written by sockeye-helper while Sockeye is connected. The original is " + originalPath() + "\n";
  for (const Address& server : dns.servers) text += "nameserver " + textOf(server) + "\n";
  for (size_t at = 0; at < original.size();) {
    const size_t end = original.find('\n', at);
    const std::string line = original.substr(at, end == std::string::npos ? end : end - at);
    if (startsWith(line, "search") || startsWith(line, "domain") || startsWith(line, "options")) text += line + "\n";
    at = end == std::string::npos ? original.size() : end + 1;
  }
  return text;
}

/** In one step where it is a plain file; in place where it is a link, or a mount, in a folder that may be read-only. */
int writeResolvConf(const std::string& content, const Attributes& attributes) {
  struct stat found;
  if (lstat(kResolvConf, &found) != 0) return errno;
  if (S_ISREG(found.st_mode)) {
    const int error = replaceFile(kResolvConf, content, attributes);
    if (error != EBUSY && error != EROFS) return error;
  }
  return overwriteFile(kResolvConf, content);
}

std::string setFileDns(const Dns& dns) {
  std::string original;
  Attributes attributes{};
  if (const int error = readFile(kResolvConf, original, &attributes)) return failure(kResolvConf, error);
  const std::string ours = resolvConfFor(dns, original);
  int error = makeFolder(kStateFolder);
  // Only the two together say that there is something to undo.
  if (error == 0) error = removeFile(oursPath());
  if (error == 0) error = replaceFile(originalPath(), original, attributes);
  if (error == 0) error = replaceFile(oursPath(), ours, {0600, 0, 0});
  if (error != 0) return failure(kStateFolder, error);
  if (const int failed = writeResolvConf(ours, attributes)) return failure(kResolvConf, failed);
  return "";
}

std::string restoreFileDns() {
  std::string ours, original, current;
  Attributes attributes{};
  removeUnfinished(kResolvConf);
  if (const int error = readFile(oursPath().c_str(), ours)) {
    if (error != ENOENT) return failure(oursPath(), error);
    // Nothing was set yet, or all is back.
    removeUnfinished(oursPath());
    const int failed = removeFile(originalPath());
    return failed == 0 ? "" : failure(kStateFolder, failed);
  }
  if (const int error = readFile(originalPath().c_str(), original, &attributes)) return failure(originalPath(), error);
  if (const int error = readFile(kResolvConf, current)) return failure(kResolvConf, error);

  if (current != original) {
    // An overwrite that was cut short left the beginning of one or the other.
    if (!startsWith(ours, current) && !startsWith(original, current))
      return std::string(kResolvConf) + " was changed by another program and is left alone; the original is " +
             originalPath();
    if (const int error = writeResolvConf(original, attributes)) return failure(kResolvConf, error);
    if (const int error = readFile(kResolvConf, current)) return failure(kResolvConf, error);
    if (current != original) return std::string(kResolvConf) + " is not what was written to it";
  }
  int error = removeFile(oursPath());
  if (error == 0) error = removeFile(originalPath());
  return error == 0 ? "" : failure(kStateFolder, error);
}

}  // namespace

DnsWay dnsWay() {
  std::string content;
  struct stat found;
  // Resolved counts where programs ask it: its stub is the machine's name server.
  const bool stub = readFile(kResolvConf, content) == 0 && (content.find("\nnameserver 127.0.0.53") != std::string::npos ||
                                                            startsWith(content, "nameserver 127.0.0.53"));
  return stub && access(kResolvectl, X_OK) == 0 && stat("/run/systemd/resolve", &found) == 0 ? DnsWay::resolved
                                                                                            : DnsWay::file;
}

std::string setDns(const Dns& dns, DnsWay way, Journal& journal) {
  if (way == DnsWay::file) return setFileDns(dns);
  if (const int error = saveJournal(journal)) return failure("the journal", error);
  return setLinkDns(dns, journal);
}

bool isDnsSet(const Journal& journal) {
  std::string ours;
  return journal.dnsDevice != 0 || readFile(oursPath().c_str(), ours) == 0;
}

std::string restoreDns(Journal& journal) {
  std::string problem = restoreFileDns();
  if (journal.dnsDevice != 0) {
    const std::string other = restoreLinkDns(journal);
    if (!other.empty()) problem += (problem.empty() ? "" : "; ") + other;
  }
  return problem;
}

}  // namespace sockeye
