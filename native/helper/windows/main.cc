// Sockeye's privileged helper for Windows: makes the TUN device, carries its packets to the engine, sets routes and name servers,
// and undoes all of it. It reads no packet, starts nothing, and takes no path and no argument from a client.
// Compiled with MinGW-w64; not yet run.
//
//   sockeye-helper --service   serves clients of the named pipe; only Windows' service manager starts it so
//   sockeye-helper --cleanup   undoes everything
//   sockeye-helper --version
#include <windows.h>

#include <cstdio>
#include <cstring>

#include "machine.h"
#include "serve.h"

namespace sockeye {
namespace {

constexpr int kWrongUse = 2;
constexpr int kBusy = 3;
wchar_t serviceName[] = L"SockeyeHelper";

HANDLE stopping = nullptr;
SERVICE_STATUS_HANDLE service = nullptr;

int fail(const std::string& sentence, int status = 1) {
  say(sentence);
  return status;
}

void report(DWORD state, DWORD exitCode = NO_ERROR) {
  SERVICE_STATUS status{};
  status.dwServiceType = SERVICE_WIN32_OWN_PROCESS;
  status.dwCurrentState = state;
  status.dwControlsAccepted = state == SERVICE_RUNNING ? SERVICE_ACCEPT_STOP | SERVICE_ACCEPT_SHUTDOWN : 0;
  status.dwWin32ExitCode = exitCode;
  status.dwWaitHint = 10'000;
  SetServiceStatus(service, &status);
}

DWORD WINAPI onControl(DWORD control, DWORD, void*, void*) {
  if (control == SERVICE_CONTROL_INTERROGATE) return NO_ERROR;
  if (control != SERVICE_CONTROL_STOP && control != SERVICE_CONTROL_SHUTDOWN) return ERROR_CALL_NOT_IMPLEMENTED;
  report(SERVICE_STOP_PENDING);
  SetEvent(stopping);
  return NO_ERROR;
}

void WINAPI runService(DWORD, wchar_t**) {
  service = RegisterServiceCtrlHandlerExW(serviceName, onControl, nullptr);
  if (service == nullptr) return;
  report(SERVICE_START_PENDING);
  undo(true);
  Pipe control(kControlPipe, stopping);
  if (!control.made()) {
    const DWORD error = GetLastError();
    say("its pipe could not be made: Windows error " + std::to_string(error));
    return report(SERVICE_STOPPED, error);
  }
  report(SERVICE_RUNNING);
  serve(control);
  report(SERVICE_STOPPED);
}

int serveAsService() {
  const SERVICE_TABLE_ENTRYW table[] = {{serviceName, runService}, {nullptr, nullptr}};
  if (StartServiceCtrlDispatcherW(table)) return 0;
  return fail("--service is for Windows' service manager", kWrongUse);
}

int cleanUp() {
  const Pipe lock(kControlPipe, stopping);
  if (!lock.made()) return fail("the service runs, or this is no administrator: stop it with `sc stop SockeyeHelper`", kBusy);
  return undo(false).empty() ? 0 : 1;
}

int run(int argc, char** argv) {
  const std::string mode = argc == 2 ? argv[1] : "";
  stopping = CreateEventW(nullptr, TRUE, FALSE, nullptr);
  // No library is looked for in the folder that somebody started us in.
  SetDefaultDllDirectories(LOAD_LIBRARY_SEARCH_SYSTEM32);
  if (mode == "--service") return serveAsService();
  if (mode == "--cleanup") return cleanUp();
  if (mode != "--version") return fail("usage: sockeye-helper --service | --cleanup | --version", kWrongUse);
  std::printf("sockeye-helper %s, protocol %d\n", SOCKEYE_BUILD, kProtocolVersion);
  return 0;
}

}  // namespace

/** To whoever started us, and for a service to the event log. */
void say(const std::string& sentence) {
  std::fprintf(stderr, "sockeye-helper: %s\n", sentence.c_str());
  if (service == nullptr) return;
  const HANDLE log = RegisterEventSourceA(nullptr, "SockeyeHelper");
  const char* texts[] = {sentence.c_str()};
  if (log == nullptr) return;
  ReportEventA(log, EVENTLOG_WARNING_TYPE, 0, 0, nullptr, 1, 0, texts, nullptr);
  DeregisterEventSource(log);
}

}  // namespace sockeye

int main(int argc, char** argv) { return sockeye::run(argc, argv); }
