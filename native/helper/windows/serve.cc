#include "serve.h"

#include "session.h"

namespace sockeye {
namespace {

/** A client that has said nothing by then gives its place up. */
constexpr DWORD kGreetingMs = 5000;
/** A client that takes no answer for so long is gone. */
constexpr DWORD kAnswerMs = 2000;

DWORD served = 0;

bool send(Pipe& control, Answer& answer) {
  const std::vector<uint8_t>& frame = answer.frame();
  return control.write(frame.data(), frame.size(), kAnswerMs);
}

void refuseClient(Pipe& control, Refusal code, const std::string& sentence) {
  Answer answer(Request{}, code, 0, sentence);
  send(control, answer);
}

void serveClient(Pipe& control) {
  served = control.client();
  Session session;
  std::vector<uint8_t> frame;
  for (bool known = false;;) {
    uint8_t head[kLengthBytes];
    const DWORD patience = known ? INFINITE : kGreetingMs;
    if (!control.read(head, kLengthBytes, patience)) return;
    const size_t length = frameLength(head);
    if (length == 0) return refuseClient(control, Refusal::malformed, "a frame is empty or longer than 64 KiB");
    frame.resize(length);
    if (!control.read(frame.data(), length, kGreetingMs)) return;
    if (!known && !control.mayAsk()) {
      say("refused process " + std::to_string(served));
      return refuseClient(control, Refusal::forbidden,
                          "only administrators and members of the group Sockeye at this machine may ask");
    }
    known = true;
    Request request;
    if (const char* wrong = parseRequest(frame.data(), length, request))
      return refuseClient(control, Refusal::malformed, wrong);
    Outcome outcome = session.handle(request);
    if (!send(control, outcome.answer) || outcome.over) return;
  }
}

}  // namespace

void serve(Pipe& control) {
  while (control.accept()) {
    undo(true);
    serveClient(control);
    // What the client has not read of a refusal is lost with the connection: it has closed its end, or is given a moment.
    uint8_t rest;
    control.read(&rest, 1, kAnswerMs / 10);
    control.disconnect();
    undo(true);
  }
}

DWORD servedProcess() { return served; }

}  // namespace sockeye
