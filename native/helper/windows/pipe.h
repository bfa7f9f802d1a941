// A named pipe with one instance, and so one client at a time: another one finds it busy. Compiled with MinGW-w64; not yet run.
#ifndef SOCKEYE_PIPE_H
#define SOCKEYE_PIPE_H

#include <windows.h>

#include <string>

namespace sockeye {

// Names below this prefix can be made by administrators only, so nobody else can pretend to be the helper.
constexpr wchar_t kControlPipe[] = L"\\\\.\\pipe\\ProtectedPrefix\\Administrators\\Sockeye\\helper";
constexpr wchar_t kPacketPipe[] = L"\\\\.\\pipe\\ProtectedPrefix\\Administrators\\Sockeye\\packets";
/** The local group whose members may ask, while they are logged on at the machine. */
constexpr wchar_t kGroup[] = L"Sockeye";

/** A Windows handle with its owner. */
class Handle {
 public:
  explicit Handle(HANDLE handle = nullptr) : handle_(handle == INVALID_HANDLE_VALUE ? nullptr : handle) {}
  ~Handle() {
    if (handle_ != nullptr) CloseHandle(handle_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  HANDLE get() const { return handle_; }
  explicit operator bool() const { return handle_ != nullptr; }

 private:
  HANDLE handle_;
};

/** Read by one thread and written by one, which may be another. Whatever waits ends when `stop` is set. */
class Pipe {
 public:
  Pipe(const wchar_t* name, HANDLE stop);

  /** Whether the pipe could be made; it can't while another process has it. */
  bool made() const { return static_cast<bool>(pipe_); }
  /** Waits for a client. @returns false when told to stop. */
  bool accept();
  /** Reads exactly so many bytes. @returns false at the end, after `patience` milliseconds, or when told to stop. */
  bool read(void* bytes, size_t size, DWORD patience = INFINITE);
  /** As read(). */
  bool write(const void* bytes, size_t size, DWORD patience = INFINITE);
  void disconnect();

  /** The process at the other end; 0 where it is not known. */
  DWORD client() const;
  /**
   * Whether the client is an administrator, or a member of our group who is logged on at this machine, by its token. Windows
   * lets us see that once something was read.
   */
  bool mayAsk() const;

 private:
  bool finish(OVERLAPPED& operation, DWORD& bytes, DWORD patience);

  Handle pipe_;
  Handle reading_{CreateEventW(nullptr, TRUE, FALSE, nullptr)};
  Handle writing_{CreateEventW(nullptr, TRUE, FALSE, nullptr)};
  HANDLE stop_;
};

}  // namespace sockeye

#endif
