// systemd's journal as standard error: it takes a line's priority from what the line begins with.
#pragma once

namespace vmnet {

// Where standard error is the journal, each line of the log begins with its priority from here on,
// which the journal takes off. `journal_stream`: JOURNAL_STREAM of the environment, or null;
// whoever set it, it can do no more than that. Before threads start. Sources: systemd.exec(5),
// sd-daemon(3).
void tell_journal_priorities(const char* journal_stream);

}  // namespace vmnet
