// getpeereid(3): who has connected to a stream socket.
#pragma once

#include_next <unistd.h>

extern "C" int getpeereid(int socket, uid_t* uid, gid_t* gid);
