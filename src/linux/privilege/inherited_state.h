// What a process inherits from the one that started it, and a setuid program keeps: limits,
// scheduling, memory policy. The user chose it, and could use it to kill the keeper, to keep it
// asleep or to have it wait while it holds the lock that other users' helpers wait for.
#pragma once

#include "base/result.h"

namespace vmnet {

// Makes it what a process of the system has: no limit on processor time, memory or files, timers
// that are punctual, ordinary scheduling on every processor, no preference of the OOM killer for
// this process but against it where that is allowed. Fails where a limit that could end the process
// cannot be raised (without CAP_SYS_RESOURCE, as file capabilities leave it), naming it. What only
// makes it slower and needs CAP_SYS_NICE to mend stays as it was.
// Sources: getrlimit(2), prctl(2), sched(7), proc_pid_oom_score_adj(5), set_mempolicy(2).
// ROOT: every value is a constant.
Status reset_inherited_state();

}  // namespace vmnet
