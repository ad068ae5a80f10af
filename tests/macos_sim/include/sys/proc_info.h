#pragma once

#include <stdint.h>
#include <sys/types.h>

inline constexpr int PROC_PIDLISTFDS = 1;
inline constexpr int PROC_PIDTBSDINFO = 3;
inline constexpr int PROC_PIDPATHINFO_MAXSIZE = 4096;

struct proc_fdinfo {
  int32_t proc_fd;
  uint32_t proc_fdtype;
};

struct proc_bsdinfo {
  uint32_t pbi_status;
  uint32_t pbi_pid;
  uint32_t pbi_ppid;
  uint32_t pbi_pgid;
};
