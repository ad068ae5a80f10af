// Where sockets behave differently: getpeername tells when a datagram peer has gone, and AF_UNIX
// has no SOCK_SEQPACKET.
#pragma once

#include_next <sys/socket.h>

extern "C" int macos_sim_getpeername(int socket, struct sockaddr* address, socklen_t* size);

#define getpeername macos_sim_getpeername

extern "C" int socket(int domain, int type, int protocol) noexcept __asm__("macos_sim_socket");
