// Where sockets behave differently: getpeername tells when a datagram peer has gone.
#pragma once

#include_next <sys/socket.h>

extern "C" int macos_sim_getpeername(int socket, struct sockaddr* address, socklen_t* size);

#define getpeername macos_sim_getpeername
