// What is left to the keeper once it has made the host side: to watch, and to clean up.
#pragma once

#include "base/result.h"
#include "platform/real_user.h"
#include "platform/socket_files.h"

namespace vmnet {

// Few capabilities, no_new_privs, no file but the kernel's network settings, in the folder of the
// VM's socket removal and, with `reads_dns_servers`, reading in the folders that all_dns_servers()
// needs (Landlock), and the system calls that this takes (seccomp). For good; an
// error means that the process must end.
Status restrict_keeper(const RealUser& user, const SocketFiles& files, bool reads_dns_servers);

}  // namespace vmnet
