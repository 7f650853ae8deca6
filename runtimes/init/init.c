/* The first process of an instance that is more than one: a function with extensions, or one that is looked at by a
 * debugger. Starts what the host asks for over descriptor 3 (docs/formats/frames.md, "The first process") and tells how
 * each process ended. It decides nothing: what is started when, and what an end means, is the host's to say.
 * Linked statically, because a container image may have no C library, or another one. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CONTROL = 3, SLOTS = 16, ARGUMENTS = 256, RECORD = 192 * 1024, DESCRIPTORS = 3 };

static pid_t slots[SLOTS];
static char record[RECORD];

static void told(int slot, int status) {
  unsigned char message[6] = {'X', (unsigned char)slot};
  int32_t value = status;
  memcpy(message + 2, &value, sizeof value);
  if (send(CONTROL, message, sizeof message, MSG_NOSIGNAL) < 0) _exit(1);
}

/* In the new process. Descriptor 3 is the host's, and becomes the runtime's channel where there is one. */
static void execute(char **arguments, char *unset, char *end, const int *descriptors, int count) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  setpgid(0, 0);
  for (char *name = unset; name < end; name += strlen(name) + 1) unsetenv(name);
  dup2(descriptors[0], STDOUT_FILENO);
  dup2(descriptors[1], STDERR_FILENO);
  if (count > 2) dup2(descriptors[2], CONTROL);
  execve(arguments[0], arguments, environ);
  const char *reason = strerror(errno);
  const char *parts[] = {"cannot execute ", arguments[0], ": ", reason, "\n"};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (write(STDERR_FILENO, parts[i], strlen(parts[i])) < 0) break;
  _exit(127);
}

/* `S`, slot, count of arguments, the arguments, then names to take out of the environment; each ends in a zero. */
static void start(ssize_t length, const int *descriptors, int count) {
  char *arguments[ARGUMENTS + 1];
  int slot = (unsigned char)record[1], wanted = (unsigned char)record[2], found = 0;
  char *at = record + 3, *end = record + length;
  while (found < wanted && found < ARGUMENTS && at < end) {
    arguments[found++] = at;
    at += strlen(at) + 1;
  }
  arguments[found] = NULL;
  if (slot >= SLOTS || found == 0 || count < 2) _exit(1);
  pid_t pid = fork();
  if (pid == 0) execute(arguments, at, end, descriptors, count);
  if (pid < 0) {
    told(slot, 126 << 8);
    return;
  }
  slots[slot] = pid;
}

static void take(void) {
  union {
    char bytes[CMSG_SPACE(DESCRIPTORS * sizeof(int))];
    struct cmsghdr aligned;
  } control;
  struct iovec vector = {record, sizeof record - 1};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  ssize_t length = recvmsg(CONTROL, &message, MSG_CMSG_CLOEXEC);
  if (length <= 0) _exit(0);
  record[length] = 0;
  int descriptors[DESCRIPTORS], count = 0;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    count = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    memcpy(descriptors, CMSG_DATA(header), count * sizeof(int));
  }
  if (record[0] == 'S' && length > 3) start(length, descriptors, count);
  if (record[0] == 'K' && length == 3) {
    int slot = (unsigned char)record[1];
    if (slot < SLOTS && slots[slot] > 0) kill(slots[slot], record[2]);
  }
  for (int i = 0; i < count; i++) close(descriptors[i]);
}

/* Orphans of the instance are this process's to bury, too. */
static void bury(void) {
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
    for (int slot = 0; slot < SLOTS; slot++)
      if (slots[slot] == pid) {
        slots[slot] = 0;
        told(slot, status);
      }
}

int main(void) {
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  sigprocmask(SIG_BLOCK, &children, NULL);
  int ends = signalfd(-1, &children, SFD_CLOEXEC);
  if (ends < 0 || fcntl(CONTROL, F_SETFD, FD_CLOEXEC) < 0) return 1;
  struct pollfd polled[] = {{CONTROL, POLLIN, 0}, {ends, POLLIN, 0}};
  for (;;) {
    if (poll(polled, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return 1;
    }
    if (polled[1].revents) {
      struct signalfd_siginfo info;
      if (read(ends, &info, sizeof info) < 0 && errno != EINTR) return 1;
      bury();
    }
    if (polled[0].revents) take();
  }
}
