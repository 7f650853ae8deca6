/* Clones of a live process. The template parks: each of its other threads sits in a signal handler, the calling one waits
 * for commands on its control socket (docs/formats/frames.md, "Templates"). For each command it makes a raw clone in new
 * namespaces. The clone joins its control group, gives up every capability, installs the full system call filter, renews
 * what it would share with the template (event sets, event counters, inner pipes, sockets), takes copies of the pages it
 * will write, and waits for its mounts; then it brings every thread back onto its own stack.
 *
 * Serves any runtime that loads it: Node.js through Node-API, Python through ctypes. Neither mounts nor decides anything.
 * Loaded before the program, it also keeps the program's memory together.
 * Between the clone and the return of the threads nothing allocates: a parked thread may hold the allocator's lock. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/rseq.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../node/napi.h"
#include "arch.h"

/* glibc's cancellation signal: sigfillset leaves it out, so that no thread blocks it. Its own handler comes back in the clone. */
#define PARK_SIGNAL 32
#define THREADS_MAX 256
#define FILES_MAX 512
#define WATCHES_MAX 1024
#define FILTER_MAX 4096
#define PASSED_MAX 16
#define RANGES_MAX 1024
#define SEATS_MAX 100
#define CHUNK_BYTES_MAX (64u << 10)
#define CHUNK_BYTES_STEP 16u
/* A template keeps no more memory from its clones than this. */
#define TAKEN_BYTES_MAX (16u << 20)
/* Larger reservations are few, and may have to be near the program. */
#define NEAR_BYTES_MAX (2u << 20)
#define MAGIC 0x33454c43u /* "CLE3" */
/* In a command: the clone gets a network of its own. */
#define OWN_NETWORK 1
/* What a runtime says of its clones. QUIET: they have nothing to do before their first event, and do not say that they are
 * ready. LATE: their threads may run the function's code, and come back no sooner than somebody wants the clone. */
#define QUIET 1
#define LATE 2

struct thread {
  pid_t tid;
  char name[16];
  unsigned long tls;
  int *tid_place;
  void *robust;
  size_t robust_length;
  void *jump[5];
  char stack[4096] __attribute__((aligned(16)));
};

struct command {
  uint32_t magic;
  uint32_t flags;
  uint32_t instructions;
  uint32_t ranges;
};
/* Of memory, by addresses. */
struct range {
  uint64_t start, end;
};
struct reply {
  int32_t pid;
};
struct action {
  void *handler;
  unsigned long flags;
  void *restorer;
  unsigned long mask;
};
struct instruction {
  uint16_t code;
  uint8_t jt, jf;
  uint32_t k;
};
struct program {
  uint16_t length;
  const struct instruction *filter;
};

static struct thread threads[THREADS_MAX];
static _Atomic int thread_count, parked, generation;
static int tid_offset = -1;
static struct action signal_before, child_before;
static char reason[256];

static long wait_on(_Atomic int *word, int value, const struct timespec *limit) {
  return syscall(SYS_futex, word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, value, limit, NULL, 0);
}
static void wake(_Atomic int *word, int count) {
  syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, NULL, NULL, 0);
}
static long set_action(int signal, const struct action *new, struct action *old) {
  return syscall(SYS_rt_sigaction, signal, new, old, 8);
}

/* glibc keeps a thread's id in its descriptor, at an offset that no header tells: it is looked for where every thread has its
 * own. The first thread's is 1, as other numbers there are. Whoever joins a thread waits for the kernel to clear it there. */
static int find_tid_offset(int mine) {
  const int *words = (const int *)thread_pointer();
  int count = atomic_load(&thread_count);
  for (int index = 0; index < 512; index++) {
    int is_found = words[index] == mine;
    for (int other = 0; is_found && other < count; other++)
      is_found = ((const int *)threads[other].tls)[index] == threads[other].tid;
    if (!is_found) continue;
    tid_offset = index * 4;
    for (struct thread *other = threads; other < threads + count; other++)
      other->tid_place = (int *)(other->tls + (unsigned long)tid_offset);
    return 0;
  }
  return -1;
}

static void park_handler(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)info, (void)context;
  int saved = errno, mine = atomic_load(&generation), index = atomic_fetch_add(&thread_count, 1);
  if (index < THREADS_MAX) {
    struct thread *thread = &threads[index];
    thread->tid = (pid_t)syscall(SYS_gettid);
    prctl(PR_GET_NAME, thread->name);
    thread->tls = thread_pointer();
    syscall(SYS_get_robust_list, 0, &thread->robust, &thread->robust_length);
    if (__builtin_setjmp(thread->jump) == 0) {
      atomic_fetch_add(&parked, 1);
      wake(&parked, 1);
      while (atomic_load(&generation) == mine) wait_on(&generation, mine, NULL);
    }
  }
  errno = saved;
}

/* First code of a thread that was brought back; ends in the handler it was parked in. */
static __attribute__((noinline, noreturn)) void thread_again(struct thread *thread) {
  syscall(SYS_set_robust_list, thread->robust, thread->robust_length);
  if (__rseq_size) {
    struct rseq *area = (struct rseq *)(thread->tls + (unsigned long)__rseq_offset);
    area->cpu_id_start = 0;
    *(volatile int32_t *)&area->cpu_id = -1;
    area->rseq_cs = 0;
    if (syscall(SYS_rseq, area, 32, 0, 0x53053053)) *(volatile int32_t *)&area->cpu_id = -2;
  }
  prctl(PR_SET_NAME, thread->name);
  __builtin_longjmp(thread->jump, 1);
}

/* Parks every other thread, also those that start meanwhile. */
static int park_threads(void) {
  static int seen[THREADS_MAX];
  struct action park = {(void *)park_handler, SA_SIGINFO | SA_RESTART | RESTORER_FLAG, (void *)signal_return, ~0ul};
  int count = 0, me = (int)syscall(SYS_gettid);
  atomic_store(&thread_count, 0);
  atomic_store(&parked, 0);
  if (set_action(PARK_SIGNAL, &park, &signal_before)) return -1;
  for (;;) {
    int known = count;
    DIR *tasks = opendir("/proc/self/task");
    if (!tasks) return -1;
    for (struct dirent *entry; (entry = readdir(tasks));) {
      int tid = atoi(entry->d_name), is_known = 0;
      if (tid <= 0 || tid == me) continue;
      for (int index = 0; index < count; index++) is_known |= seen[index] == tid;
      if (is_known) continue;
      if (count == THREADS_MAX) {
        closedir(tasks);
        return -1;
      }
      seen[count++] = tid;
    }
    closedir(tasks);
    if (count == known) return find_tid_offset(me);
    for (int index = known; index < count; index++) syscall(SYS_tgkill, getpid(), seen[index], PARK_SIGNAL);
    for (int turn = 0, have; (have = atomic_load(&parked)) < count; turn++) {
      struct timespec second = {1, 0};
      if (turn > 4 * THREADS_MAX || (wait_on(&parked, have, &second) < 0 && errno == ETIMEDOUT)) return -1;
    }
  }
}

static void resume_threads(void) {
  atomic_fetch_add(&generation, 1);
  wake(&generation, THREADS_MAX);
  set_action(PARK_SIGNAL, &signal_before, NULL);
}

/* ---- open files */

enum kind { FILE_PLAIN, FILE_COUNTER, FILE_SET, FILE_PIPE, FILE_SOCKET };
static struct open_file {
  int fd, flags, first_watch, watches;
  enum kind kind;
  unsigned long long number; /* of a pipe its inode, of a counter its value */
} files[FILES_MAX];
static struct watch {
  int fd;
  unsigned events;
  unsigned long long data;
} watches[WATCHES_MAX];
static int file_count, watch_count;

/* What every clone would share with the template and nothing here can renew is a reason not to clone. */
static int look_at_file(int fd, const char *target) {
  if (file_count == FILES_MAX) {
    snprintf(reason, sizeof reason, "more than %d open files", FILES_MAX);
    return -1;
  }
  struct open_file *file = &files[file_count++];
  *file = (struct open_file){.fd = fd, .flags = fcntl(fd, F_GETFL), .first_watch = watch_count};
  if (!strncmp(target, "pipe:", 5)) {
    file->kind = FILE_PIPE;
    file->number = strtoull(target + 6, NULL, 10);
  } else if (!strncmp(target, "socket:", 7)) {
    int listens = 0, type = 0;
    socklen_t length = sizeof listens;
    file->kind = FILE_SOCKET;
    if (!getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) && type != SOCK_STREAM) {
      /* It has no end that its owner could be shown. */
      snprintf(reason, sizeof reason, "a socket that is no stream (descriptor %d)", fd);
      return -1;
    }
    if (!getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) && listens) {
      snprintf(reason, sizeof reason, "a socket that listens (descriptor %d)", fd);
      return -1;
    }
  } else if (strstr(target, "[eventfd]")) {
    file->kind = FILE_COUNTER;
  } else if (strstr(target, "[eventpoll]")) {
    file->kind = FILE_SET;
  } else if (!strncmp(target, "anon_inode:", 11) || !strncmp(target, "/memfd:", 7)) {
    snprintf(reason, sizeof reason, "an open %.60s (descriptor %d)", target, fd);
    return -1;
  } else {
    struct stat status;
    file->kind = FILE_PLAIN;
    if (!fstat(fd, &status) && S_ISREG(status.st_mode) && (file->flags & O_ACCMODE) != O_RDONLY) {
      snprintf(reason, sizeof reason, "a file open for writing: %.120s", target);
      return -1;
    }
  }
  if (file->kind == FILE_COUNTER || file->kind == FILE_SET) {
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    FILE *info = fopen(path, "re");
    if (!info) return -1;
    while (fgets(line, sizeof line, info)) {
      int watched;
      unsigned events;
      unsigned long long data;
      if (sscanf(line, "tfd: %d events: %x data: %llx", &watched, &events, &data) == 3 && watch_count < WATCHES_MAX) {
        watches[watch_count++] = (struct watch){watched, events, data};
        file->watches++;
      } else if (sscanf(line, "eventfd-count: %llx", &data) == 1) {
        file->number = data;
      }
    }
    fclose(info);
    if (watch_count == WATCHES_MAX) {
      snprintf(reason, sizeof reason, "more than %d watched descriptors", WATCHES_MAX);
      return -1;
    }
  }
  return 0;
}

static int look_at_files(void) {
  file_count = watch_count = 0;
  DIR *all = opendir("/proc/self/fd");
  if (!all) {
    snprintf(reason, sizeof reason, "reading /proc/self/fd: %s", strerror(errno));
    return -1;
  }
  int result = 0;
  for (struct dirent *entry; !result && (entry = readdir(all));) {
    char path[64], target[256];
    int fd = atoi(entry->d_name);
    if (entry->d_name[0] == '.' || fd == dirfd(all)) continue;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length < 0) continue;
    target[length] = 0;
    result = look_at_file(fd, target);
  }
  closedir(all);
  return result;
}

static void replace(int new, int fd) {
  if (new < 0) _exit(96);
  dup3(new, fd, O_CLOEXEC);
  close(new);
}

/* In the clone. The first descriptors (input, output, channel) have been replaced before. */
static void renew_files(void) {
  for (int index = 0; index < file_count; index++) {
    struct open_file *file = &files[index];
    if (file->fd <= 3) continue;
    if (file->kind == FILE_COUNTER)
      replace(eventfd((unsigned)file->number, EFD_CLOEXEC | (file->flags & O_NONBLOCK ? EFD_NONBLOCK : 0)), file->fd);
    if (file->kind == FILE_SOCKET) {
      /* Its peer is gone, so that its owner sees an orderly end. */
      int pair[2];
      if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair)) _exit(96);
      close(pair[1]);
      replace(pair[0], file->fd);
    }
    if (file->kind == FILE_PIPE && (file->flags & O_ACCMODE) == O_RDONLY)
      for (int other = 0; other < file_count; other++) {
        struct open_file *end = &files[other];
        int pair[2], have = 0;
        if (end->kind != FILE_PIPE || end->number != file->number || (end->flags & O_ACCMODE) != O_WRONLY) continue;
        if (pipe2(pair, O_CLOEXEC | (file->flags & O_NONBLOCK))) _exit(96);
        if (!ioctl(file->fd, FIONREAD, &have) && have) tee(file->fd, pair[1], (size_t)have, SPLICE_F_NONBLOCK);
        replace(pair[0], file->fd);
        replace(pair[1], end->fd);
        break;
      }
  }
  for (int index = 0; index < file_count; index++) {
    struct open_file *file = &files[index];
    if (file->kind != FILE_SET) continue;
    int set = epoll_create1(EPOLL_CLOEXEC);
    for (int at = file->first_watch; at < file->first_watch + file->watches; at++) {
      struct epoll_event event = {.events = watches[at].events, .data.u64 = watches[at].data};
      epoll_ctl(set, EPOLL_CTL_ADD, watches[at].fd, &event);
    }
    replace(set, file->fd);
  }
}

/* ---- memory */

/* V8 asks for each small part of its heap at an address of its own choice, far from all others. Every clone would copy three
 * pages of tables for each; where the kernel chooses, they lie side by side. Takes effect where the library is loaded before
 * the program. */
__attribute__((visibility("default"))) void *mmap(void *wish, size_t length, int prot, int flags, int fd, off_t offset) {
  if (!(flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) && length <= NEAR_BYTES_MAX) wish = NULL;
  return (void *)syscall(SYS_mmap, wish, length, prot, flags, fd, offset);
}
__attribute__((visibility("default"), alias("mmap"))) void *mmap64(void *, size_t, int, int, int, off_t);

/* V8 marks its heap as not to be inherited; that is undone for every private mapping without a file. A mapping that
 * the clones would share is a reason not to clone. */
static int look_at_memory(void) {
  static char text[1 << 20];
  size_t have = 0;
  int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  for (ssize_t count; have < sizeof text - 1 && (count = read(fd, text + have, sizeof text - 1 - have)) > 0;)
    have += (size_t)count;
  close(fd);
  text[have] = 0;
  for (char *line = text; *line;) {
    unsigned long low, high, inode;
    char mode[5], *end = strchr(line, '\n');
    if (!end) break;
    *end = 0;
    if (sscanf(line, "%lx-%lx %4s %*x %*s %lu", &low, &high, mode, &inode) == 4) {
      if (mode[3] == 's' && mode[1] == 'w') {
        snprintf(reason, sizeof reason, "memory that is shared: %.160s", line);
        return -1;
      }
      if (mode[3] == 'p' && inode == 0 && !strstr(line, "[v")) madvise((void *)low, high - low, MADV_DOFORK);
    }
    line = end + 1;
  }
  return 0;
}

/* Another process of the template's namespace stays behind when a clone is made: whoever talks to it would be alone. */
static int look_for_children(void) {
  DIR *all = opendir("/proc");
  pid_t mine = getpid();
  int result = 0;
  if (!all) return -1;
  for (struct dirent *entry; !result && (entry = readdir(all));) {
    int pid = atoi(entry->d_name);
    if (pid <= 0 || pid == mine) continue;
    snprintf(reason, sizeof reason, "a child process (number %d)", pid);
    result = -1;
  }
  closedir(all);
  return result;
}

/* ---- commands */

static int read_all(int fd, void *into, size_t length) {
  for (char *at = into; length;) {
    ssize_t count = read(fd, at, length);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return -1;
    at += count;
    length -= (size_t)count;
  }
  return 0;
}

static int receive(int control, struct command *command, int *passed, int *count) {
  union {
    char bytes[CMSG_SPACE(sizeof(int) * PASSED_MAX)];
    struct cmsghdr align;
  } rights;
  struct iovec into = {command, sizeof *command};
  struct msghdr message = {
      .msg_iov = &into, .msg_iovlen = 1, .msg_control = rights.bytes, .msg_controllen = sizeof rights.bytes};
  ssize_t length;
  do length = recvmsg(control, &message, MSG_CMSG_CLOEXEC);
  while (length < 0 && errno == EINTR);
  *count = 0;
  if (length <= 0) return -1;
  for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part))
    if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS) {
      *count = (int)((part->cmsg_len - CMSG_LEN(0)) / sizeof(int));
      memcpy(passed, CMSG_DATA(part), (size_t)*count * sizeof(int));
    }
  return (size_t)length < sizeof *command
             ? read_all(control, (char *)command + length, sizeof *command - (size_t)length)
             : 0;
}

static void answer(int control, int pid, int pidfd) {
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } rights;
  struct reply reply = {pid};
  struct iovec from = {&reply, sizeof reply};
  struct msghdr message = {.msg_iov = &from, .msg_iovlen = 1};
  if (pidfd >= 0) {
    memset(&rights, 0, sizeof rights);
    message.msg_control = rights.bytes;
    message.msg_controllen = sizeof rights.bytes;
    struct cmsghdr *part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(part), &pidfd, sizeof pidfd);
  }
  while (sendmsg(control, &message, MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

/* In the clone, still its only thread. Passed are: channel, output, error output, and files of control groups to join. */
static void become_instance(int control, const int *passed, int count, const struct program *filter) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct none[2] = {{0}};
  if (count < 3) _exit(97);
  for (int index = 3; index < count; index++) {
    if (write(passed[index], "0", 1) != 1) _exit(97);
    close(passed[index]);
  }
  if (dup2(passed[0], control) < 0 || dup2(passed[1], 1) < 0 || dup2(passed[2], 2) < 0) _exit(97);
  for (int index = 0; index < 3; index++) close(passed[index]);
  fcntl(control, F_SETFD, FD_CLOEXEC);
  setsid();
  if (syscall(SYS_capset, &header, none)) _exit(97);
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, filter)) _exit(97);
}

/* Copies what is written again and again, all at once, instead of at one fault for each page. What is no longer mapped, or
 * by an older kernel not done, is left to the faults. */
static void take_pages(const struct range *ranges, uint32_t count) {
  for (uint32_t index = 0; index < count; index++)
    madvise((void *)ranges[index].start, ranges[index].end - ranges[index].start, MADV_POPULATE_WRITE);
}

static void restore_threads(void) {
  const unsigned long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                              CLONE_SETTLS | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
  int count = atomic_load(&thread_count);
  for (int index = 0; index < count; index++) {
    struct thread *thread = &threads[index];
    char *top = thread->stack + sizeof thread->stack - 64;
    if (thread_start(flags, top, thread->tid_place, thread->tls, thread, thread_again) < 0) _exit(98);
  }
}

/* Free chunks of memory lie all over the heap, and a clone that is given one has to copy its page. Taken by the template, they
 * leave its clones the end of the heap, where all that they allocate lies together. */
static void take_free_chunks(void) {
  struct mallinfo2 (*info)(void) = (struct mallinfo2 (*)(void))dlsym(RTLD_DEFAULT, "mallinfo2");
  if (!info) return;
  char *end = (char *)sbrk(0) - info().keepcost;
  size_t taken = 0;
  for (size_t bytes = CHUNK_BYTES_MAX; bytes >= CHUNK_BYTES_STEP && taken < TAKEN_BYTES_MAX; bytes -= CHUNK_BYTES_STEP)
    for (; taken < TAKEN_BYTES_MAX; taken += bytes) {
      char *chunk = malloc(bytes);
      if (!chunk || chunk >= end) {
        free(chunk);
        break;
      }
    }
}

/* Parks this process as a template. Returns NULL in each clone, and in the template only when it cannot be cloned: then
 * why. When the host closes the control socket, the template ends. */
__attribute__((visibility("default"))) const char *cumulet_park(int control, int clones) {
  static struct instruction instructions[FILTER_MAX];
  static struct range ranges[RANGES_MAX];
  struct action ignore = {(void *)SIG_IGN, RESTORER_FLAG, (void *)signal_return, 0};
  void (*seed)(void) = (void (*)(void))dlsym(RTLD_DEFAULT, "RAND_poll");
  sigset_t all, before;
  void *robust;
  size_t robust_length;
  reason[0] = 0;
  take_free_chunks();
  if (look_for_children() || look_at_files()) return reason[0] ? reason : "its processes cannot be listed";
  if (park_threads()) {
    resume_threads();
    snprintf(reason, sizeof reason, "a thread that cannot be parked");
    return reason;
  }
  if (look_at_memory()) {
    resume_threads();
    return reason[0] ? reason : "its memory map cannot be read";
  }
  sigfillset(&all);
  syscall(SYS_get_robust_list, 0, &robust, &robust_length);
  /* Ended clones need no waiting for. */
  set_action(SIGCHLD, &ignore, &child_before);
  const char ready[] = {1, 0, 0, 0, clones & QUIET ? 'Q' : 'R'};
  if (send(control, ready, sizeof ready, MSG_NOSIGNAL) != sizeof ready) _exit(0);
  for (;;) {
    struct command command;
    int passed[PASSED_MAX], count, pidfd = -1;
    if (receive(control, &command, passed, &count) || command.magic != MAGIC || command.instructions > FILTER_MAX ||
        command.ranges > RANGES_MAX || read_all(control, instructions, command.instructions * sizeof *instructions) ||
        read_all(control, ranges, command.ranges * sizeof *ranges))
      _exit(0);
    struct program filter = {(uint16_t)command.instructions, instructions};
    sigprocmask(SIG_SETMASK, &all, &before);
    long network = command.flags & OWN_NETWORK ? CLONE_NEWNET : 0;
    long pid = raw_clone(SIGCHLD | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | network | CLONE_PIDFD |
                             CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID,
                         &pidfd, (void *)(thread_pointer() + (unsigned long)tid_offset));
    if (pid == 0) {
      syscall(SYS_set_robust_list, robust, robust_length);
      become_instance(control, passed, count, &filter);
      set_action(SIGCHLD, &child_before, NULL);
      set_action(PARK_SIGNAL, &signal_before, NULL);
      renew_files();
      take_pages(ranges, command.ranges);
      /* /tmp and /proc are mounted when it comes. */
      char go;
      if (read_all(control, &go, 1)) _exit(0);
      struct pollfd wanted = {control, POLLIN, 0};
      while (clones & LATE && atomic_load(&thread_count) && poll(&wanted, 1, -1) < 0 && errno == EINTR) {
      }
      restore_threads();
      sigprocmask(SIG_SETMASK, &before, NULL);
      if (seed) seed();
      return NULL;
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    for (int index = 0; index < count; index++) close(passed[index]);
    answer(control, (int)pid, pidfd);
    if (pidfd >= 0) close(pidfd);
  }
}

/* The descriptors that come with a message; its bytes must be all of `bytes`. Returns how many, or -1. */
static int receive_descriptors(int channel, void *bytes, size_t length, int *descriptors) {
  union {
    char bytes[CMSG_SPACE(sizeof(int) * SEATS_MAX)];
    struct cmsghdr align;
  } rights;
  struct iovec into = {bytes, length};
  struct msghdr message = {
      .msg_iov = &into, .msg_iovlen = 1, .msg_control = rights.bytes, .msg_controllen = sizeof rights.bytes};
  ssize_t have;
  int count = 0;
  do have = recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
  while (have < 0 && errno == EINTR);
  if (have <= 0) return -1;
  for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part))
    if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS) {
      count = (int)((part->cmsg_len - CMSG_LEN(0)) / sizeof(int));
      memcpy(descriptors, CMSG_DATA(part), (size_t)count * sizeof(int));
    }
  return read_all(channel, (char *)bytes + have, length - (size_t)have) ? -1 : count;
}

/* ---- what Node.js calls */

/* In a clone a number between 1 and 2^31 - 1 from the kernel's random source; otherwise why there is none. */
static napi_value park(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2], result = NULL;
  int control = -1, clones = 0;
  uint32_t seed = 0;
  napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
  napi_get_value_int32(env, arguments[0], &control);
  napi_get_value_int32(env, arguments[1], &clones);
  const char *why = cumulet_park(control, clones);
  if (why) {
    napi_create_string_utf8(env, why, NAPI_AUTO_LENGTH, &result);
    return result;
  }
  if (getrandom(&seed, sizeof seed, 0) != sizeof seed) _exit(95);
  napi_create_int32(env, (int32_t)(1 + seed % INT32_MAX), &result);
  return result;
}

/* Ends the process at once: the runtime's own end would wait for its threads as if it had started them. */
static napi_value end(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  int code = 0;
  napi_get_cb_info(env, info, &count, &argument, NULL, NULL);
  napi_get_value_int32(env, argument, &code);
  _exit(code);
}

/* The sockets of the seats, in an array; nothing when the host is gone. Node.js itself cannot receive descriptors. */
static napi_value seats(napi_env env, napi_callback_info info) {
  static int descriptors[SEATS_MAX];
  char frame[5];
  size_t count = 1;
  napi_value argument, result = NULL;
  int channel = -1;
  napi_get_cb_info(env, info, &count, &argument, NULL, NULL);
  napi_get_value_int32(env, argument, &channel);
  int have = receive_descriptors(channel, frame, sizeof frame, descriptors);
  if (have < 0 || frame[4] != 'T') return NULL;
  napi_create_array(env, &result);
  for (int index = 0; index < have; index++) {
    napi_value number;
    napi_create_int32(env, descriptors[index], &number);
    napi_set_element(env, result, (uint32_t)index, number);
  }
  return result;
}

__attribute__((visibility("default"))) napi_value napi_register_module_v1(napi_env env, napi_value exports) {
  napi_export(env, exports, "park", park);
  napi_export(env, exports, "end", end);
  napi_export(env, exports, "seats", seats);
  return exports;
}
