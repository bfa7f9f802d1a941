// Sockeye's privileged helper: makes the TUN device and hands it over, sets routes and name servers, and undoes all of it. It
// parses no packet, starts nothing but resolvectl, and takes no path and no argument from a client.
//
//   sockeye-helper --fd N      serves the one client at the other end of an inherited, connected Unix socket
//   sockeye-helper --listen    serves clients of helper.sock in the run folder (files.h), or of the socket that systemd passes
//   sockeye-helper --recover   undoes what a killed helper left behind, but for a kill switch that is on
//   sockeye-helper --cleanup   undoes everything, the kill switch too, and prints a line for each thing that was set
//   sockeye-helper --version
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#ifndef __APPLE__
#include <sys/prctl.h>
#endif
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "files.h"
#include "machine.h"
#include "privilege.h"
#include "serve.h"

namespace sockeye {
namespace {

constexpr int kWrongUse = 2;
constexpr int kBusy = 3;
/** Callers that wait to be heard or turned away. */
constexpr int kBacklog = 128;
/** Where systemd's first socket is (sd_listen_fds(3)). */
constexpr int kPassedSocket = 3;

int fail(const std::string& sentence, int status = 1) {
  say(sentence);
  return status;
}

Caller ourselves() { return {getpid(), getuid()}; }

int recover() {
  std::string problem;
  if (takeLock(ourselves(), true, problem) < 0) return fail(problem, kBusy);
  return undo(true).empty() ? 0 : 1;
}

int cleanUp() {
  std::string problem;
  if (takeLock(ourselves(), true, problem) < 0) return fail(problem, kBusy);
  const std::vector<std::string> set = whatIsSet();
  if (!undo(false).empty()) return 1;
  for (const std::string& each : set) std::printf("%s\n", each.c_str());
  return 0;
}

/** The worker serves; the guardian outlives it only to undo what it left, should it be killed. */
int serveGuarded(int client) {
  std::string problem;
  Caller engine;
  // Whoever has the other end was given it.
  mayAsk(client, engine);
  if (takeLock(engine, true, problem) < 0) {
    // The client says it.
    refuseClient(client, Refusal::busy, problem);
    return kBusy;
  }
  // A terminal's Ctrl-C is for the engine, which then releases in order.
  setsid();
#ifdef __APPLE__
  // What a killed helper leaves goes without a guardian: name servers with their owner, routes with the device.
  return serveOne(client, orderlyEnd());
#else
  sigset_t set;
  sigemptyset(&set);
  for (const int each : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, each);
  sigprocmask(SIG_BLOCK, &set, nullptr);

  const pid_t guardian = getpid();
  const pid_t worker = fork();
  if (worker < 0) return fail(std::string("fork: ") + std::strerror(errno));
  if (worker == 0) {
    // No session goes on unguarded.
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != guardian) return 1;
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_UNBLOCK, &child, nullptr);
    return serveOne(client, orderlyEnd());
  }
  close(client);
  for (;;) {
    int received = 0;
    sigwait(&set, &received);
    int status = 0;
    if (received != SIGCHLD) {
      kill(worker, SIGTERM);
    } else if (waitpid(worker, &status, WNOHANG) == worker) {
      if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
      if (WIFSIGNALED(status)) say("the worker was killed; undoing what it set");
      return undo(true).empty() ? 0 : 1;
    }
  }
#endif
}

/** Anybody's to connect to, where there is the group: mayAsk() says who is listened to. Else root's. @returns the socket, or -1. */
int listenHere(std::string& path) {
  if (makeFolder(kRunFolder) != 0) return -1;
  path = std::string(kRunFolder) + "/helper.sock";
  // It takes its name once it listens, so that whoever finds it can connect.
  const std::string unready = path + ".new";
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::snprintf(name.sun_path, sizeof name.sun_path, "%s", unready.c_str());
  const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  unlink(unready.c_str());
  const mode_t mask = umask(0177);
  const bool bound = listener >= 0 && bind(listener, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0;
  umask(mask);
  if (!bound) return -1;
  const group* allowed = getgrnam(kGroup);
  if (allowed != nullptr && (chown(unready.c_str(), 0, allowed->gr_gid) != 0 || chmod(unready.c_str(), 0666) != 0))
    say(std::string("only root can connect: ") + path + " could not be opened to others: " + std::strerror(errno));
  return listen(listener, kBacklog) == 0 && rename(unready.c_str(), path.c_str()) == 0 ? listener : -1;
}

int serveListening() {
  const char* count = std::getenv("LISTEN_FDS");
  const char* process = std::getenv("LISTEN_PID");
  const bool passed = count != nullptr && process != nullptr && std::to_string(getpid()) == process;
  if (passed && std::strcmp(count, "1") != 0) return fail("one socket is expected of systemd", kWrongUse);
  std::string path;
  const int listener = passed ? kPassedSocket : listenHere(path);
  if (listener < 0) return fail(std::string("listening failed: ") + std::strerror(errno));
  fcntl(listener, F_SETFD, FD_CLOEXEC);
  fcntl(listener, F_SETFL, fcntl(listener, F_GETFL) | O_NONBLOCK);

  std::string problem;
  const int lock = takeLock(ourselves(), true, problem);
  if (lock < 0) say(problem);  // A `sockeye run` with a helper of its own; it ends.
  if (lock >= 0) {
    undo(true);
    close(lock);
  }
  const int status = serveAll(listener, orderlyEnd());
  if (!path.empty()) unlink(path.c_str());
  return status;
}

bool isUnixStream(int descriptor) {
  sockaddr_un name{};
  socklen_t length = sizeof name;
  int type = 0;
  socklen_t size = sizeof type;
  return getsockname(descriptor, reinterpret_cast<sockaddr*>(&name), &length) == 0 && name.sun_family == AF_UNIX &&
         getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

int run(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "--version" && argc == 2) {
    std::printf("sockeye-helper %s, protocol %d\n", SOCKEYE_BUILD, kProtocolVersion);
    return 0;
  }
  char* end = nullptr;
  const long client = argc == 3 ? std::strtol(argv[2], &end, 10) : -1;
  const bool byDescriptor = mode == "--fd" && argc == 3 && *argv[2] != 0 && *end == 0 && client > 2 && client < 65'536;
  if (!byDescriptor && !(argc == 2 && (mode == "--listen" || mode == "--cleanup" || mode == "--recover")))
    return fail("usage: sockeye-helper --fd N | --listen | --recover | --cleanup | --version", kWrongUse);
  if (geteuid() != 0) return fail("it must be run as root", kWrongUse);

  signal(SIGPIPE, SIG_IGN);
  umask(022);
  if (chdir("/") != 0) return fail("there is no root folder");
  const std::string problem = confine();
  if (!problem.empty()) return fail("capabilities could not be given up: " + problem);

  if (mode == "--listen") return serveListening();
  if (mode == "--cleanup") return cleanUp();
  if (mode == "--recover") return recover();
  const int descriptor = static_cast<int>(client);
  if (!isUnixStream(descriptor)) return fail("descriptor " + std::to_string(client) + " is no Unix socket", kWrongUse);
  fcntl(descriptor, F_SETFD, FD_CLOEXEC);
  return serveGuarded(descriptor);
}

}  // namespace

void say(const std::string& sentence) {
  const std::string line = "sockeye-helper: " + sentence + "\n";
  if (write(STDERR_FILENO, line.data(), line.size()) < 0) return;
}

}  // namespace sockeye

int main(int argc, char** argv) { return sockeye::run(argc, argv); }
