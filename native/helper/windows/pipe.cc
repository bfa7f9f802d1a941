#include "pipe.h"

#include <sddl.h>

#include <vector>

namespace sockeye {
namespace {

constexpr DWORD kBuffer = 256 * 1024;

/** The SID of our local group; empty where there is none. */
std::vector<uint8_t> groupSid() {
  wchar_t computer[MAX_COMPUTERNAME_LENGTH + 1];
  DWORD length = MAX_COMPUTERNAME_LENGTH + 1;
  if (!GetComputerNameW(computer, &length)) return {};
  const std::wstring name = std::wstring(computer) + L"\\" + kGroup;
  std::vector<uint8_t> sid(SECURITY_MAX_SID_SIZE);
  wchar_t domain[256];
  DWORD size = static_cast<DWORD>(sid.size());
  DWORD domainLength = 256;
  SID_NAME_USE use;
  if (!LookupAccountNameW(nullptr, name.c_str(), sid.data(), &size, domain, &domainLength, &use)) return {};
  if (use != SidTypeAlias) return {};
  return sid;
}

/** The system and administrators; our group; nobody who comes over the network. */
std::wstring accessRules() {
  std::wstring rules = L"D:P(D;;GA;;;NU)(A;;GA;;;SY)(A;;GA;;;BA)";
  std::vector<uint8_t> group = groupSid();
  wchar_t* text = nullptr;
  if (!group.empty() && ConvertSidToStringSidW(group.data(), &text)) {
    rules += std::wstring(L"(A;;GRGW;;;") + text + L")";
    LocalFree(text);
  }
  return rules;
}

HANDLE makePipe(const wchar_t* name) {
  SECURITY_ATTRIBUTES security{sizeof security, nullptr, FALSE};
  if (!ConvertStringSecurityDescriptorToSecurityDescriptorW(accessRules().c_str(), SDDL_REVISION_1,
                                                            &security.lpSecurityDescriptor, nullptr))
    return INVALID_HANDLE_VALUE;
  const HANDLE pipe = CreateNamedPipeW(
      name, PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
      PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS, 1, kBuffer, kBuffer, 0, &security);
  LocalFree(security.lpSecurityDescriptor);
  return pipe;
}

bool isMember(HANDLE token, PSID sid) {
  BOOL member = FALSE;
  return CheckTokenMembership(token, sid, &member) && member;
}

bool isMember(HANDLE token, WELL_KNOWN_SID_TYPE type) {
  uint8_t sid[SECURITY_MAX_SID_SIZE];
  DWORD size = sizeof sid;
  return CreateWellKnownSid(type, nullptr, sid, &size) && isMember(token, sid);
}

}  // namespace

Pipe::Pipe(const wchar_t* name, HANDLE stop) : pipe_(makePipe(name)), stop_(stop) {}

bool Pipe::accept() {
  OVERLAPPED operation{};
  operation.hEvent = reading_.get();
  if (ConnectNamedPipe(pipe_.get(), &operation)) return true;
  DWORD nothing = 0;
  switch (GetLastError()) {
    case ERROR_PIPE_CONNECTED:
      return true;
    case ERROR_IO_PENDING:
      return finish(operation, nothing, INFINITE);
    default:
      return false;
  }
}

bool Pipe::read(void* bytes, size_t size, DWORD patience) {
  auto* at = static_cast<uint8_t*>(bytes);
  while (size > 0) {
    OVERLAPPED operation{};
    operation.hEvent = reading_.get();
    DWORD got = 0;
    const bool done = ReadFile(pipe_.get(), at, static_cast<DWORD>(size), &got, &operation);
    if (!done && (GetLastError() != ERROR_IO_PENDING || !finish(operation, got, patience))) return false;
    if (got == 0) return false;
    at += got;
    size -= got;
  }
  return true;
}

bool Pipe::write(const void* bytes, size_t size, DWORD patience) {
  const auto* at = static_cast<const uint8_t*>(bytes);
  while (size > 0) {
    OVERLAPPED operation{};
    operation.hEvent = writing_.get();
    DWORD put = 0;
    const bool done = WriteFile(pipe_.get(), at, static_cast<DWORD>(size), &put, &operation);
    if (!done && (GetLastError() != ERROR_IO_PENDING || !finish(operation, put, patience))) return false;
    if (put == 0) return false;
    at += put;
    size -= put;
  }
  return true;
}

bool Pipe::finish(OVERLAPPED& operation, DWORD& bytes, DWORD patience) {
  const HANDLE waiting[] = {operation.hEvent, stop_};
  const bool came = WaitForMultipleObjects(2, waiting, FALSE, patience) == WAIT_OBJECT_0;
  if (!came) CancelIoEx(pipe_.get(), &operation);
  // Waits in any case: until then the system may write to `operation` and to the bytes.
  return GetOverlappedResult(pipe_.get(), &operation, &bytes, TRUE) && came;
}

void Pipe::disconnect() { DisconnectNamedPipe(pipe_.get()); }

DWORD Pipe::client() const {
  ULONG process = 0;
  return GetNamedPipeClientProcessId(pipe_.get(), &process) ? process : 0;
}

bool Pipe::mayAsk() const {
  if (!ImpersonateNamedPipeClient(pipe_.get())) return false;
  HANDLE opened = nullptr;
  const bool isOpen = OpenThreadToken(GetCurrentThread(), TOKEN_QUERY, TRUE, &opened);
  // To go on as somebody else would be worse than to end.
  if (!RevertToSelf()) ExitProcess(1);
  if (!isOpen) return false;
  const Handle token(opened);
  if (isMember(token.get(), WinLocalSystemSid) || isMember(token.get(), WinBuiltinAdministratorsSid)) return true;
  std::vector<uint8_t> group = groupSid();
  return !group.empty() && isMember(token.get(), group.data()) && isMember(token.get(), WinInteractiveSid);
}

}  // namespace sockeye
