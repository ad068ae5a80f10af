// A socket's path is shorter than Linux's 108 bytes.
#pragma once

#include <sys/socket.h>

struct sockaddr_un {
  sa_family_t sun_family;
  char sun_path[104];
};
