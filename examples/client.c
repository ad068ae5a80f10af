/* A client in C: a socketpair, fork and exec, the JSON line, one frame each way.
 *
 *     cc -o client client.c && ./client [OPTION-OF-VMNET-HELPER]...
 *
 * Starts vmnet-helper itself, so that needs the setuid bit, file capabilities, or root. VMNET_HELPER
 * names the program where it is not /opt/vmnet-helper/bin/vmnet-helper. A real client would hand the
 * VM's end to its VM; this one asks who has the gateway's address, as a VM would. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what) {
  perror(what);
  exit(1);
}

/* The string behind "key": in a line of JSON without escapes in it; a real client has a parser. */
static void get_string(const char *json, const char *key, char *value, size_t size) {
  char pattern[64];
  snprintf(pattern, sizeof(pattern), "\"%s\":\"", key);
  const char *start = strstr(json, pattern);
  if (start == NULL) {
    fprintf(stderr, "no %s in %s\n", key, json);
    exit(1);
  }
  start += strlen(pattern);
  snprintf(value, size, "%.*s", (int)strcspn(start, "\""), start);
}

static pid_t start_helper(int vm_socket, int output, char **options, int count) {
  pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid > 0) return pid;
  const char *program = getenv("VMNET_HELPER");
  if (program == NULL) program = "/opt/vmnet-helper/bin/vmnet-helper";
  char fd[16];
  snprintf(fd, sizeof(fd), "%d", vm_socket);
  char **argv = calloc((size_t)count + 4, sizeof(*argv));
  if (argv == NULL) die("calloc");
  argv[0] = "vmnet-helper";
  argv[1] = "--fd";
  argv[2] = fd;
  memcpy(argv + 3, options, (size_t)count * sizeof(*argv));
  dup2(output, STDOUT_FILENO);
  execv(program, argv);
  die(program);
  return -1;
}

static void ask_for_gateway(int vm, const char *mac_text, const char *own, const char *gateway) {
  unsigned char mac[6];
  unsigned char frame[2048];
  static const unsigned char kind[] = {8, 6, 0, 1, 8, 0, 6, 4, 0, 1};
  sscanf(mac_text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4],
         &mac[5]);
  memset(frame, 0, sizeof(frame));
  memset(frame, 0xff, 6);
  memcpy(frame + 6, mac, 6);
  memcpy(frame + 12, kind, sizeof(kind));
  memcpy(frame + 22, mac, 6);
  inet_pton(AF_INET, own, frame + 28);
  inet_pton(AF_INET, gateway, frame + 38);
  unsigned char target[4];
  memcpy(target, frame + 38, 4);
  if (send(vm, frame, 42, 0) != 42) die("send");
  for (;;) {
    ssize_t size = recv(vm, frame, sizeof(frame), 0);
    if (size < 0) die("recv");
    if (size >= 42 && frame[12] == 8 && frame[13] == 6 && frame[21] == 2 &&
        memcmp(frame + 28, target, 4) == 0) {
      break;
    }
  }
  printf("gateway: %02x:%02x:%02x:%02x:%02x:%02x %s\n", frame[22], frame[23], frame[24], frame[25],
         frame[26], frame[27], gateway);
}

int main(int argc, char **argv) {
  int ends[2];
  int output[2];
  if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) != 0) die("socketpair");
  if (pipe(output) != 0) die("pipe");
  int buffer = 1 << 20;
  setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
  pid_t helper = start_helper(ends[1], output[1], argv + 1, argc - 1);
  close(ends[1]);
  close(output[1]);

  FILE *lines = fdopen(output[0], "r");
  char json[4096];
  if (lines == NULL || fgets(json, sizeof(json), lines) == NULL) {
    fprintf(stderr, "the helper failed; it said why\n");
    return 1;
  }
  char mac[32];
  char own[32];
  char gateway[32];
  get_string(json, "vmnet_mac_address", mac, sizeof(mac));
  get_string(json, "ip_address", own, sizeof(own));
  get_string(json, "vmnet_start_address", gateway, sizeof(gateway));
  printf("VM: %s %s\n", mac, own);
  ask_for_gateway(ends[0], mac, own, gateway);

  close(ends[0]); /* ends the helper; so does SIGTERM */
  int status = 0;
  waitpid(helper, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
